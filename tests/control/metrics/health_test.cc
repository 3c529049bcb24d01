#include "control/metrics/health.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

struct Health : testing::Test {
  Health() {
    n.workers.resize(2);
    n.ports = {{.name = "p0", .up = true}, {.name = "p1", .up = true}};
  }
  // Names of the checks that fail.
  std::vector<std::string> bad(const std::vector<Check>& checks) {
    std::vector<std::string> names;
    for (const Check& c : checks) {
      EXPECT_FALSE(c.text.empty()) << c.name;
      if (!c.good) names.push_back(c.name);
    }
    EXPECT_EQ(all_good(checks), names.empty());
    return names;
  }
  std::vector<std::string> not_ready(bool members_known = true) {
    return bad(ready(n, events, members_known));
  }
  using Names = std::vector<std::string>;

  NodeNumbers n;
  Events events{nullptr};
};

TEST_F(Health, IsGoodWhenNothingIsWrong) {
  EXPECT_EQ(bad(alive(n)), Names());
  EXPECT_EQ(not_ready(), Names());
}

TEST_F(Health, AWorkerThatIsStuckIsNeitherAliveNorReady) {
  n.workers[1].stuck = true;
  EXPECT_EQ(bad(alive(n)), Names{"workers"});
  EXPECT_EQ(not_ready(), Names{"workers"});
}

TEST_F(Health, OnePortIsEnoughAndNoneIsIfNoneWasAskedFor) {
  n.ports[0].up = false;
  EXPECT_EQ(not_ready(), Names());
  n.ports[1].up = false;
  EXPECT_EQ(not_ready(), Names{"ports"});
  EXPECT_EQ(bad(alive(n)), Names());
  n.ports.clear();
  EXPECT_EQ(not_ready(), Names());
}

TEST_F(Health, ASnapshotIsAsGoodAsAStoreThatAnswers) {
  events.raise(EventName::kStoreUnreachable, "store", "away");
  EXPECT_EQ(not_ready(true), Names());
  EXPECT_EQ(not_ready(false), Names{"store"});
  EXPECT_EQ(bad(alive(n)), Names());
}

TEST_F(Health, WithoutBuffersItIsNotReady) {
  events.raise(EventName::kMemoryLow, "port p0 queue 0", "none");
  EXPECT_EQ(not_ready(), Names{"memory"});
  events.clear(EventName::kMemoryLow, "port p0 queue 0", "some");
  EXPECT_EQ(not_ready(), Names());
}

TEST_F(Health, PeersAndABadFileKeepNobodyAway) {
  events.raise(EventName::kLinkDown, "node 2 path 0", "down");
  events.raise(EventName::kConfigRefused, "/etc/penstock/penstock.toml", "mistakes");
  EXPECT_EQ(not_ready(), Names());
}

}  // namespace
}  // namespace penstock
