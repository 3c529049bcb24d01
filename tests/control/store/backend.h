// What the contract of a store is checked on: a back end that the test starts, wipes and lets age.
#pragma once

#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "control/store/store.h"

namespace penstock::test {

using std::chrono::milliseconds;
inline constexpr milliseconds kSoon{
    10000};  // longer than anything takes, but for a machine that stands still

class Backend {
 public:
  virtual ~Backend() = default;
  // One more user of the same store.
  virtual std::unique_ptr<store::Store> open() = 0;
  // Writes as whoever may: for `static` that is a person with an editor. `value` is a JSON object.
  virtual void put(const std::string& key, const std::string& value) = 0;
  virtual void remove(const std::string& key) = 0;
  // Lets so much time pass for leases.
  virtual void age(milliseconds) {}
  // The store loses all it had, as if it had just been made.
  virtual void wipe() {}
  // Forgets all changes so far.
  virtual void compact() {}
};

using MakeBackend = std::unique_ptr<Backend> (*)();

struct Contract : testing::TestWithParam<MakeBackend> {
  std::unique_ptr<Backend> backend = GetParam()();
  std::unique_ptr<store::Store> store = backend->open();

  store::Contents range(std::string_view prefix) {
    const auto all = store->range(prefix);
    if (!all) ADD_FAILURE() << all.error().text;
    return all ? *all : store::Contents{};
  }
};
// The back ends that programs write.
struct Writing : Contract {};

// Events until there are `count`, or time is up.
inline std::vector<store::Event> next(store::Watch& watch, size_t count) {
  std::vector<store::Event> all;
  const auto until = std::chrono::steady_clock::now() + kSoon;
  while (all.size() < count && std::chrono::steady_clock::now() < until) {
    const auto some = watch.next(milliseconds(100));
    if (!some) {
      ADD_FAILURE() << some.error().text;
      break;
    }
    all.insert(all.end(), some->begin(), some->end());
  }
  return all;
}

inline store::Txn put_if(const std::string& key, uint64_t revision, const std::string& value,
                         uint64_t lease = 0) {
  return {{{key, revision}}, {{key, value, lease}}};
}

inline store::Txn put(const std::string& key, const std::string& value, uint64_t lease = 0) {
  return {{}, {{key, value, lease}}};
}

}  // namespace penstock::test
