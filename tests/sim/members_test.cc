// Many nodes that find each other by a store, under all that can happen to nodes, net and store, by
// seed. Replay one: the failure prints how.
#include <algorithm>
#include <gtest/gtest.h>
#include <iostream>
#include <numeric>

#include "tests/support/many_files.h"
#include "tests/support/members_run.h"
#include "tests/support/seeds.h"
#include "tests/support/sim_members.h"

namespace penstock {
namespace {

using test::ClusterLedger;
using test::MembersOutcome;
using test::run_members;
using test::SimCluster;
using test::SimMembers;

constexpr uint64_t kMs = 1'000'000;

struct Sum {
  uint64_t seeds = 0, nodes = 0, gone = 0, agreed_ms = 0;
  ClusterLedger::Counts counts;
  std::array<uint64_t, test::kMishaps> mishaps{};
};
Sum sum;

class Members : public ::testing::TestWithParam<uint64_t> {
 protected:
  static void SetUpTestSuite() {
    test::allow_many_files();
    sum = {};
  }
  static void TearDownTestSuite() {
    std::cout << sum.seeds << " seeds, " << sum.nodes << " nodes: " << sum.counts.text()
              << "\nmembers gone " << sum.gone << ", agreed after " << sum.agreed_ms
              << " ms at most\nmishaps:";
    for (size_t m = 0; m < test::kMishaps; m++)
      std::cout << (m == 0 ? " " : ", ") << text(static_cast<test::Mishap>(m)) << " "
                << sum.mishaps[m];
    std::cout << "\n";
    for (size_t m = 0; m < test::kMishaps && sum.seeds >= 4; m++)
      EXPECT_GT(sum.mishaps[m], 0u) << text(static_cast<test::Mishap>(m)) << " never happened";
  }
};

TEST_P(Members, AgreeInTheEndAndNothingIsLost) {
  const uint64_t seed = GetParam();
  const MembersOutcome o = run_members(seed);
  sum.seeds++;
  sum.nodes += o.nodes;
  sum.gone += o.gone;
  sum.agreed_ms = std::max(sum.agreed_ms, o.agreed_ms);
  sum.counts.add(o.counts);
  for (size_t m = 0; m < test::kMishaps; m++)
    sum.mishaps[m] += o.mishaps[m];
  const std::string replay =
      test::replay("sim/tests_members", "Members.AgreeInTheEndAndNothingIsLost", seed) + "(" +
      o.counts.text() + ")" + o.text;
  EXPECT_EQ(o.disagreement, "") << replay;
  EXPECT_TRUE(o.drained) << replay;
  EXPECT_EQ(o.counts.wrong(), 0u) << replay;
  EXPECT_EQ(o.wrong, "") << replay;
  EXPECT_EQ(o.held, 0u) << replay;
  EXPECT_GT(o.counts.published, 0u) << replay;
  EXPECT_GT(o.counts.delivered, 0u) << replay;
}
INSTANTIATE_TEST_SUITE_P(Seeds, Members, ::testing::Range<uint64_t>(0, test::seeds(4)));

TEST(MembersSim, SameSeedSameRun) {
  const uint64_t first = run_members(5).trace;
  EXPECT_EQ(run_members(5).trace, first);
  EXPECT_NE(run_members(6).trace, first);
}

// One publisher, one subscriber, and then 62 nodes that join one after the other, each with a
// subscriber of its own. Whoever holds the publisher back shows in how much it publishes.
TEST(MembersSim, JoinsStallNobody) {
  constexpr uint64_t kWindow = 50 * kMs;
  SimCluster::Config c = test::many_nodes(1, 64);
  c.act_ns = 2 * kMs;
  SimCluster cluster(c);
  SimMembers members(cluster, {});
  cluster.pace = {.publish = 4, .eager = 100, .read = 32, .release = 100, .most_bytes = 200};
  const auto join = [&](uint32_t i) {
    members.start(i);
    cluster.add_client(i).subscribe(ClusterLedger::Mode::kReliable, "t.#");
  };
  const auto window = [&] {
    const uint64_t before = cluster.ledger().counts().published;
    cluster.run_for(kWindow);
    return cluster.ledger().counts().published - before;
  };
  members.start(0);
  join(1);
  cluster.run_for(500 * kMs);
  cluster.add_client(0).declare(false);
  cluster.run_for(200 * kMs);
  std::vector<uint64_t> alone, joining;
  for (int i = 0; i < 10; i++)
    alone.push_back(window());
  for (uint32_t i = 2; i < 64; i++) {
    join(i);
    joining.push_back(window());
  }
  cluster.run_for(500 * kMs);
  EXPECT_EQ(members.disagreement() + members.wrong(), "");
  ClusterLedger& ledger = cluster.ledger();
  ledger.begin_end();
  cluster.host(0).clients[0]->finish(5);
  EXPECT_TRUE(
      cluster.run_until([&] { return cluster.settled() && ledger.complete(); }, 5000 * kMs));
  ledger.close();
  EXPECT_EQ(ledger.counts().gaps, 0u);
  EXPECT_EQ(ledger.counts().wrong(), 0u) << ledger.text();
  std::sort(alone.begin(), alone.end());
  const uint64_t usual = alone[alone.size() / 2];
  const uint64_t least = *std::min_element(joining.begin(), joining.end());
  std::cout << "messages in 50 ms: " << usual << " before, " << least
            << " in the worst while 62 nodes join\n";
  EXPECT_GT(usual, 0u);
  EXPECT_GT(2 * least, usual);
}

// A pusher and two pullers, each on a node of its own; the node of one dies. What was given to it
// is lost with it, and counted; all that follows goes to the other, long before anybody has
// confirmed that it is dead, and only then is it removed.
TEST(MembersSim, AKilledPeerIsRoutedAroundAtOnceAndRemovedLater) {
  constexpr uint64_t kLook = kMs / 10;
  constexpr uint64_t kLease = 300;
  SimCluster::Config c = test::many_nodes(1, 3);
  c.turn_ns = 20'000;
  c.poll_ns = 50'000;
  c.act_ns = 200'000;
  c.link.min_pto_ns = 100'000;
  SimCluster cluster(c);
  SimMembers members(cluster, {});
  cluster.pace = {
      .publish = 1, .eager = 100, .read = 32, .release = 100, .most_bytes = 200, .keys = false};
  for (uint32_t i = 0; i < 3; i++)
    members.start(i);
  cluster.run_for(500 * kMs);
  for (uint32_t i : {1, 2})
    cluster.add_client(i).subscribe(ClusterLedger::Mode::kMember, "w.#");
  cluster.run_for(200 * kMs);
  cluster.add_client(0).declare(true);
  cluster.run_for(200 * kMs);
  const ClusterLedger::Counts& counts = cluster.ledger().counts();
  const auto owed = [&] { return counts.published - counts.delivered; };
  const uint64_t published = counts.published;
  members.kill(1);
  std::vector<uint64_t> seen;  // by kLook: what nobody has got
  for (int i = 0; i < 1000; i++) {
    cluster.run_for(kLook);
    seen.push_back(owed());
  }
  // What is still owed at the end of these 100 ms, less what may be under way, went to the dead
  // one.
  const uint64_t lost = *std::min_element(seen.end() - 200, seen.end());
  const auto last = std::find_if(seen.begin(), seen.end(), [&](uint64_t n) { return n >= lost; });
  const uint64_t routed_us = static_cast<uint64_t>(last - seen.begin() + 1) * kLook / 1000;
  EXPECT_GT(counts.published, published + 100);
  EXPECT_LT(routed_us, 10'000u);
  EXPECT_EQ(members.gone(), 0u);
  cluster.run_for((2 * kLease - 150) * kMs);
  EXPECT_EQ(members.gone(), 0u) << "its lease is over, and nobody may say so yet";
  cluster.run_for((2 * kLease + 300) * kMs);
  EXPECT_EQ(members.gone(), 2u);
  EXPECT_EQ(members.disagreement() + members.wrong(), "");
  std::cout << "all goes to the other after " << routed_us << " us; " << lost
            << " messages were given to the dead\n";
}

}  // namespace
}  // namespace penstock
