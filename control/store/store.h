// Store: the small, shared, slowly changing state of all nodes: who is a member, who may do what.
// Keys and values with revisions, kept by somebody else: a file, SQLite or etcd.
//
//   range ──▶ Contents at revision r        watch from r ──▶ events r+1, r+2, ...
//   txn: if these keys are still at these revisions ──▶ all these writes at one new revision, or
//   none lease: a time to live that its holder renews; the keys attached to it go with it
//
// Every call may block, up to the store's time limit: housekeeping threads only, never a worker and
// never the thread that runs the node. One thread uses a store and its watches; two threads open
// two stores. What it says may be old, come twice or go back in time: whoever wants to know the
// state uses a View (view.h), which knows that.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace penstock::store {

enum class Fault : uint8_t {
  kUnavailable,  // no answer. A write may have happened or may yet happen: read before it is tried
                 // again
  kCompacted,    // what happened since then is forgotten: range, then watch from there
  kNoLease,      // there is no such lease (any more)
  kReadOnly,     // this store is written by people
  kInvalid,      // a key, a value or a number that no store takes, or a store that is not ours
};

struct Error {
  Fault fault;
  std::string text;  // a sentence for the log: what, where, and what to do about it
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> error(Fault fault, std::string text) {
  return tl::unexpected(Error{fault, std::move(text)});
}

struct Entry {
  std::string key;
  std::string value;
  uint64_t revision = 0;  // of its last change
  uint64_t lease = 0;     // it goes with this lease; 0: it stays

  bool operator==(const Entry&) const = default;
};

struct Contents {
  uint64_t revision = 0;       // of the store, when it was read
  std::vector<Entry> entries;  // by key
};

// A change. Of a removed key only `key` and `revision`, that of the removal, mean something.
struct Event {
  Entry entry;
  bool removed = false;

  bool operator==(const Event&) const = default;
};

struct Condition {
  std::string key;
  uint64_t revision = 0;  // its last change was at this revision; 0: there is no such key
};

struct Write {
  std::string key;
  std::string value;
  uint64_t lease = 0;
  bool remove = false;
};

// At most one write for each key.
struct Txn {
  std::vector<Condition> conditions;
  std::vector<Write> writes;
};

struct Outcome {
  bool applied = false;   // false: a condition did not hold, and nothing was written
  uint64_t revision = 0;  // applied: of the writes; else of the store
};

struct Lease {
  uint64_t id = 0;
  std::chrono::milliseconds ttl{};  // may be more than was asked for
};

class Watch {
 public:
  virtual ~Watch() = default;
  // What has changed, in order, the writes of one transaction together; waits up to `wait` for the
  // first, and returns none when time is up. After an error the watch is over.
  virtual Result<std::vector<Event>> next(std::chrono::milliseconds wait) = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // All keys that begin with `prefix`. What was acknowledged before the call is in it.
  virtual Result<Contents> range(std::string_view prefix) = 0;
  virtual Result<Outcome> txn(const Txn& txn) = 0;
  // Changes of keys that begin with `prefix`, from the first after revision `after` on. The store
  // outlives its watches.
  virtual Result<std::unique_ptr<Watch>> watch(std::string_view prefix, uint64_t after) = 0;

  virtual Result<Lease> grant(std::chrono::milliseconds ttl) = 0;
  // Begins its time anew.
  virtual Result<void> keep_alive(uint64_t lease) = 0;
  // Ends it at once, and removes its keys.
  virtual Result<void> revoke(uint64_t lease) = 0;
};

inline constexpr size_t kMaxKeyBytes = 512;
inline constexpr size_t kMaxValueBytes = 64 << 10;
inline constexpr size_t kMaxWrites = 64;

// What every back end refuses alike; else nothing.
tl::expected<void, Error> check(const Txn& txn);

}  // namespace penstock::store
