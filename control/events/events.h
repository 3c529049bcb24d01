// Events: what has happened, the last thousand, and what is wrong now. The control thread's.
//
//   node, members ──take()──▶ raised now ──limit──▶ number ──▶ log, ring ──read()──▶ followers
//
// * Raising what is raised only gives it the newer text; clearing what is not raised is nothing.
// * Each name may be told of so many times at once, and then again every second. What is beyond is
//   counted; the next that is told says how many there were.
// * Whoever follows is told of pairs: of a clear exactly when the raise was told. A raise that had
//   to wait and is still so is told as soon as it may.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "control/events/event.h"

namespace penstock {

class Events {
 public:
  struct Limits {
    size_t ring = 1024;                 // events to read back
    size_t raised = 4096;               // at once; more are only counted
    uint64_t burst = 100;               // of one name
    uint64_t every_ns = 1'000'000'000;  // and then one
  };
  // Gets each event that is told, in order, with its number and time.
  using Sink = std::function<void(const Event&)>;

  // One that is given no sink still keeps the ring.
  explicit Events(Sink sink) : Events(std::move(sink), Limits()) {}
  Events(Sink sink, const Limits& limits) : limits_(limits), sink_(std::move(sink)) {
    names_.fill({.left = limits.burst});
  }

  // Before what happens in this turn: `now` in ns, monotonic; `unix_ns` since 1970. Tells what had
  // to wait.
  void turn(uint64_t now, uint64_t unix_ns);

  void take(const Event& event);
  void raise(EventName name, std::string subject, std::string text) {
    take({.name = name,
          .change = Change::kRaised,
          .subject = std::move(subject),
          .text = std::move(text)});
  }
  void clear(EventName name, std::string subject, std::string text) {
    take({.name = name,
          .change = Change::kCleared,
          .subject = std::move(subject),
          .text = std::move(text)});
  }
  void note(EventName name, std::string text) {
    take({.name = name, .change = Change::kNoted, .subject = {}, .text = std::move(text)});
  }

  // The number that the next one told will have. To follow: read() whenever it has grown.
  uint64_t next() const { return next_; }
  // Appends up to `most` events to `out`, from number `from` on. Returns the number to ask for next
  // time. A first event with a larger number than asked for: those between are in the ring no more.
  uint64_t read(uint64_t from, size_t most, std::vector<Event>& out) const;

  // What is raised now, told or not, as it was raised.
  std::vector<Event> raised() const;
  bool is_raised(EventName name) const;
  // Raises and notes so far, told or not; and those that never were.
  uint64_t happened(EventName name) const { return names_[at(name)].happened; }
  uint64_t suppressed(EventName name) const { return names_[at(name)].suppressed; }

 private:
  struct Name {
    uint64_t left;          // that may be told now
    uint64_t refilled = 0;  // when `left` last grew, or began to be less than all
    uint64_t happened = 0;
    uint64_t suppressed = 0;
    uint64_t said = 0;     // of `suppressed`, so many were said to be
    uint64_t waiting = 0;  // raised, and not told
  };
  struct Raised {
    Event event;
    bool told = false;
  };
  using Key = std::pair<EventName, std::string>;

  static size_t at(EventName name) { return static_cast<size_t>(name); }
  bool may_tell(Name& name);
  void tell(Event event);

  const Limits limits_;
  const Sink sink_;
  uint64_t now_ = 0;
  uint64_t unix_ns_ = 0;
  uint64_t next_ = 1;
  std::array<Name, kEventNames> names_{};
  std::map<Key, Raised> raised_;
  std::deque<Event> ring_;
};

}  // namespace penstock
