// Whole nodes and their clients under everything that can happen to them, by seed. Replay one: the
// failure prints how.
#include <gtest/gtest.h>
#include <iostream>

#include "tests/support/cluster_run.h"
#include "tests/support/many_files.h"
#include "tests/support/seeds.h"
#include "tests/support/sim_cluster.h"

namespace penstock {
namespace {

using test::ClusterLedger;
using test::ClusterOutcome;
using test::run_cluster;
using test::SimCluster;

struct Sum {
  uint64_t seeds = 0;
  uint64_t relayed = 0;
  uint64_t put = 0;
  uint64_t striped = 0;
  uint64_t passed_on = 0;
  uint64_t revoked = 0;
  ClusterLedger::Counts counts;
  std::array<uint64_t, test::kFaults> faults{};
};
Sum sum;

class Cluster : public ::testing::TestWithParam<uint64_t> {
 protected:
  static void SetUpTestSuite() {
    test::allow_many_files();
    sum = {};
  }
  static void TearDownTestSuite() {
    std::cout << sum.seeds << " seeds: " << sum.counts.text() << "\nfaults:";
    for (size_t f = 0; f < test::kFaults; f++)
      std::cout << (f == 0 ? " " : ", ") << text(static_cast<test::Fault>(f)) << " "
                << sum.faults[f];
    std::cout << "\nrelayed " << sum.relayed << " bytes, put " << sum.put << " by RDMA, striped "
              << sum.striped << " messages, put on by relays " << sum.passed_on
              << " messages, places taken back " << sum.revoked << "\n";
    if (sum.seeds >= 40) {
      EXPECT_NE(sum.put, 0u);
      EXPECT_NE(sum.striped, 0u);
      EXPECT_NE(sum.passed_on, 0u);
      EXPECT_NE(sum.relayed, 0u);
      EXPECT_NE(sum.counts.not_zero_copy, 0u);
    }
  }
};

TEST_P(Cluster, LosesNothingInSilenceAndDrains) {
  const uint64_t seed = GetParam();
  const ClusterOutcome o = run_cluster(seed);
  sum.seeds++;
  sum.relayed += o.relayed;
  sum.put += o.put;
  sum.striped += o.striped;
  sum.passed_on += o.passed_on;
  sum.revoked += o.revoked;
  sum.counts.add(o.counts);
  for (size_t f = 0; f < test::kFaults; f++)
    sum.faults[f] += o.faults[f];
  const std::string replay =
      test::replay("sim/tests_cluster", "Cluster.LosesNothingInSilenceAndDrains", seed) + "(" +
      o.counts.text() + ")" + o.text;
  EXPECT_TRUE(o.drained) << replay;
  EXPECT_EQ(o.counts.wrong(), 0u) << replay;
  EXPECT_EQ(o.wrong, "") << replay;
  EXPECT_EQ(o.held, 0u) << replay;
  EXPECT_EQ(o.misuse, 0u) << replay;
}

INSTANTIATE_TEST_SUITE_P(Seeds, Cluster, ::testing::Range<uint64_t>(0, test::seeds(200)));

// A group's messages are read from the pusher's lane, too.
TEST(Cluster, WhatIsPushedGoesByRdma) {
  SimCluster::Config c;
  c.nodes = 2;
  c.rails = 2;
  SimCluster cluster(c);
  cluster.pace = {.publish = 4, .eager = 10, .read = 16, .release = 100, .most_bytes = 8'000};
  cluster.add_client(1).subscribe(ClusterLedger::Mode::kMember, "w.*");
  cluster.add_client(0).declare(true);
  cluster.run_for(200'000'000);
  EXPECT_TRUE(cluster.deliver_the_rest(4)) << cluster.state();
  const ClusterLedger::Counts counts = cluster.ledger().counts();
  EXPECT_GT(counts.delivered, 100u);
  EXPECT_EQ(counts.lost, 0u);
  EXPECT_EQ(cluster.books(), "");
  EXPECT_EQ(cluster.stop(), 0u);
  EXPECT_GT(cluster.put_bytes(), 100 * uint64_t{1'500});
  EXPECT_EQ(cluster.misuse(), 0u);
}

TEST(Cluster, SameSeedSameRun) {
  for (uint64_t seed = 0; seed < 5; seed++) {
    const uint64_t first = run_cluster(seed).trace;
    EXPECT_EQ(run_cluster(seed).trace, first) << "seed " << seed;
    EXPECT_NE(run_cluster(seed + 1000).trace, first) << "seed " << seed;
  }
}

}  // namespace
}  // namespace penstock
