// Registries from a seed: hosts that die, come back in a later life, stand still, are removed, and
// have their leases ended under them; over a store that is away, and lies. Beside them stands what
// is so: who has a row, looked up where nobody lies.
#include <optional>

#include "tests/control/membership/registry_rig.h"
#include "tests/control/store/faulty_store.h"
#include "tests/support/seeds.h"

namespace penstock::test {
namespace {

constexpr uint64_t kHosts = 4;
constexpr uint64_t kStep = 800;  // at most, between two polls
constexpr uint64_t kResync = 30'000;
constexpr uint64_t kGrace = 2 * kLease;

struct RegistrySeeds : RegistryTest, testing::WithParamInterface<uint64_t> {
  std::mt19937_64 random{GetParam()};
  std::vector<std::unique_ptr<FaultyStore>> faulty;
  std::vector<std::optional<Host>> hosts = std::vector<std::optional<Host>>(kHosts + 1);
  std::vector<uint64_t> epochs = std::vector<uint64_t>(kHosts + 1, 0);
  std::vector<uint64_t> removed = std::vector<uint64_t>(kHosts + 1, 0);
  store::Store& truth = open();
  // When each had no row.
  std::map<uint64_t, std::vector<uint64_t>> absent;
  // Since when a host has claimed a row that is not there.
  std::map<uint64_t, uint64_t> claims;
  static inline uint64_t runs = 0, losses = 0, ended_leases = 0;

  static void TearDownTestSuite() {
    if (runs < 10) return;  // of a few it may be so
    EXPECT_GT(losses, 0u) << "nobody was ever lost";
    EXPECT_GT(ended_leases, 0u) << "no lease was ever ended";
  }

  void start(uint64_t id) {
    faulty.push_back(std::make_unique<FaultyStore>(open(), random()));
    hosts[id].emplace(*faulty.back(), id, ++epochs[id]);
    claims.erase(id);
  }
  void stop(uint64_t id) {
    hosts[id].reset();
    claims.erase(id);
  }
  bool lives_on(uint64_t id) const { return hosts[id] && removed[id] < epochs[id]; }

  // The rows, and the epoch in each.
  std::map<uint64_t, store::Entry> rows() {
    std::map<uint64_t, store::Entry> all;
    const auto found = truth.range("members/");
    EXPECT_TRUE(found);
    for (const store::Entry& e : found->entries)
      all[decode_member(e.key, e.value)->id] = e;
    return all;
  }

  void step(uint64_t ms) {
    now += ms;
    note_absent();
    for (uint64_t id = 1; id <= kHosts; id++) {
      if (!hosts[id]) continue;
      const size_t before = hosts[id]->gone.size();
      hosts[id]->poll(now);
      for (size_t i = before; i < hosts[id]->gone.size(); i++)
        expect_was_absent(id, hosts[id]->gone[i]);
    }
    check_claims(note_absent());
  }
  std::map<uint64_t, store::Entry> note_absent() {
    auto there = rows();
    for (uint64_t id = 1; id <= kHosts; id++)
      if (!there.contains(id)) absent[id].push_back(now);
    return there;
  }
  // Not sooner than two leases after there was no row, nor later than everything was read anew.
  void expect_was_absent(uint64_t who, const Member& gone) {
    losses++;
    const bool was = std::ranges::any_of(absent[gone.id], [&](uint64_t at) {
      return at + kGrace <= now && now <= at + kGrace + kResync + kStep;
    });
    EXPECT_TRUE(was) << "host " << who << " calls " << gone.id << " gone, epoch " << gone.epoch;
  }
  // Who has lost its lease says within a lease that it is not registered, or is so again.
  void check_claims(const std::map<uint64_t, store::Entry>& there) {
    for (uint64_t id = 1; id <= kHosts; id++) {
      const bool false_claim =
          lives_on(id) && hosts[id]->registry.registered() && !there.contains(id);
      if (!false_claim) claims.erase(id);
      if (false_claim && !claims.contains(id)) claims[id] = now;
      if (claims.contains(id)) {
        EXPECT_LE(now - claims[id], kLease) << "host " << id;
      }
    }
  }
  // As etcd does when an operator says so, or its leader has lost count.
  void end_lease(uint64_t id) {
    const auto there = rows();
    if (!hosts[id] || !there.contains(id) || there.at(id).lease == 0) return;
    EXPECT_TRUE(truth.revoke(there.at(id).lease));
    ended_leases++;
  }
  void mishap(uint64_t id) {
    if (random() % 20 == 0) {
      stop(id);
    } else if (!hosts[id] && random() % 5 == 0) {
      start(id);
    } else if (random() % 30 == 0) {
      if (const auto epoch = remove_member(open(), id)) removed[id] = *epoch;
    } else if (hosts[id] && removed[id] == epochs[id] && random() % 10 == 0) {
      start(id);
    } else if (random() % 30 == 0) {
      end_lease(id);
    }
  }
};

TEST_P(RegistrySeeds, AllAgreeInTheEndAndNobodyWasLostWhoWasThere) {
  runs++;
  for (uint64_t id = 1; id <= kHosts; id++)
    start(id);
  // Host 1 is always there.
  for (int i = 0; i < 120 && !HasFailure(); i++) {
    step(300 + random() % 500);
    mishap(2 + random() % (kHosts - 1));
    for (auto& h : hosts) {
      if (h) {
        ASSERT_EQ(h->registry.trouble().find("another start"), std::string::npos);
      }
    }
  }
  for (auto& f : faulty)
    f->heal();
  std::set<uint64_t> alive;
  for (uint64_t id = 1; id <= kHosts; id++)
    if (lives_on(id)) alive.insert(id);
  // A lease ends, its end is not heard but read, and then it is missed for long enough.
  for (const uint64_t until = now + kLease + kResync + kGrace + 5000; now < until;)
    step(kStep);
  std::set<uint64_t> have_rows;
  for (const auto& [id, entry] : rows())
    have_rows.insert(id);
  EXPECT_EQ(have_rows, alive);
  for (uint64_t id = 1; id <= kHosts; id++) {
    if (!hosts[id]) continue;
    EXPECT_EQ(hosts[id]->registry.registered(), alive.contains(id)) << "host " << id;
    if (!alive.contains(id)) {
      EXPECT_NE(hosts[id]->registry.trouble().find("removed this node"), std::string::npos);
      continue;
    }
    auto others = alive;
    others.erase(id);
    EXPECT_EQ(hosts[id]->ids(), others) << "host " << id;
    for (const auto& [other, member] : hosts[id]->members)
      EXPECT_EQ(member.epoch, epochs[other]);
    EXPECT_EQ(hosts[id]->registry.trouble() + hosts[id]->registry.store_trouble(), "");
  }
  if (HasFailure())
    std::printf("%s\n",
                replay("control/membership/tests_membership",
                       "RegistrySeeds.AllAgreeInTheEndAndNobodyWasLostWhoWasThere", GetParam() - 1)
                    .c_str());
}
INSTANTIATE_TEST_SUITE_P(Seeds, RegistrySeeds, testing::Range<uint64_t>(1, seeds(10) + 1));

}  // namespace
}  // namespace penstock::test
