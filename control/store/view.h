// View: a map kept in step with a store that says things twice, late, out of order or not at all.
// Events are taken only when they are newer than what is known of their key; now and then all
// contents are compared with what is known. Pure: no store, no clock.
//
//   range at revision r ──▶ take(Contents) ──▶ what has changed
//   watch from r        ──▶ take(Events)   ──▶ what of it is news
#pragma once

#include <map>
#include <span>

#include "control/store/store.h"

namespace penstock::store {

class View {
 public:
  using Entries = std::map<std::string, Entry, std::less<>>;

  const Entries& entries() const { return entries_; }
  // All up to here is known: where a watch begins.
  uint64_t revision() const { return base_; }

  // Adds to `changes` what is news, in its order.
  void take(std::span<const Event> events, std::vector<Event>& changes);

  enum class Taken : uint8_t {
    kYes,
    kOlder,  // older than what is known: an answer from the past, or a store that was rewound. Not
             // taken, the first time
    kRewound,  // for the second time in a row: the store has lost what it had, and this is what it
               // has now. Taken
  };
  // The same of everything there is. `changes` gets what brings what was known to it.
  [[nodiscard]] Taken take(const Contents& contents, std::vector<Event>& changes);

 private:
  Entries entries_;
  // Revisions of removals since base_: what is older than these is no news either.
  std::map<std::string, uint64_t, std::less<>> removed_;
  uint64_t base_ = 0;    // of the last contents
  uint64_t newest_ = 0;  // of anything
  bool older_before_ = false;
};

}  // namespace penstock::store
