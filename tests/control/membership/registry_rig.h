// RegistryTest: hosts that share a store, on a clock of the test's.
#pragma once

#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "control/config/address.h"
#include "control/membership/registry.h"
#include "control/store/sqlite_store.h"
#include "tests/control/store/temporary.h"

namespace penstock::test {

using std::chrono::milliseconds;
inline constexpr milliseconds kNow{0};
inline constexpr uint64_t kLease = 6000;

// A host and what its node would know of the others.
struct Host {
  Host(store::Store& store, uint64_t id, uint64_t epoch, const std::string& snapshot = "")
      : registry(store, {.self = {id,
                                  "n" + std::to_string(id),
                                  {{*parse_host("10.1.0." + std::to_string(id)), 9470}},
                                  epoch,
                                  "life" + std::to_string(epoch),
                                  "1"},
                         .lease = milliseconds(kLease),
                         .snapshot = snapshot,
                         .read_only = false,
                         .seed = id * 100 + epoch,
                         .timing = {}}) {
    note(registry.begin(trouble));
  }
  void poll(uint64_t now) { note(registry.poll(now, kNow)); }
  void note(const std::vector<MemberEvent>& events) {
    for (const MemberEvent& e : events) {
      if (e.kind == MemberEvent::kThere) {
        members[e.member.id] = e.member;
      } else if (e.kind == MemberEvent::kRemoved) {
        members.erase(e.member.id);
        removed[e.member.id] = e.member.epoch;
      } else {
        EXPECT_EQ(members.erase(e.member.id), 1u) << "gone, and never was there";
        lost++;
        gone.push_back(e.member);
      }
    }
  }
  std::set<uint64_t> ids() const {
    std::set<uint64_t> all;
    for (const auto& [id, m] : members)
      all.insert(id);
    return all;
  }

  std::string trouble;
  Registry registry;
  std::map<uint64_t, Member> members;
  std::map<uint64_t, uint64_t> removed;  // the last epoch
  std::vector<Member> gone;              // each that was lost, as often as it was
  int lost = 0;
};

struct RegistryTest : testing::Test {
  TemporaryFolder folder;
  uint64_t now = 1000;
  std::vector<std::unique_ptr<store::SqliteStore>> stores;

  store::Store& open() {
    stores.push_back(std::make_unique<store::SqliteStore>(store::SqliteOptions{
        .path = folder.file("s.db"), .now_ms = [this] { return now; }, .boot = "1"}));
    return *stores.back();
  }
  void wipe() const {
    for (const char* part : {"s.db", "s.db-wal", "s.db-shm"})
      std::filesystem::remove(folder.file(part));
  }
  template <class... Hosts>
  void run(uint64_t ms, Hosts&... hosts) {
    for (const uint64_t until = now + ms; now < until; now += 500)
      (hosts.poll(now), ...);
  }
};

}  // namespace penstock::test
