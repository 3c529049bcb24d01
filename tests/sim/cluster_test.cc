// Whole nodes and their clients under everything that can happen to them, by seed. Replay one: the
// failure prints how.
#include <gtest/gtest.h>
#include <iostream>

#include "tests/support/cluster_run.h"
#include "tests/support/many_files.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

using test::ClusterOutcome;
using test::run_cluster;

struct Sum {
  uint64_t seeds = 0;
  uint64_t relayed = 0;
  uint64_t put = 0;
  test::ClusterLedger::Counts counts;
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
    std::cout << "\nrelayed " << sum.relayed << " bytes, put " << sum.put << " by RDMA\n";
    if (sum.seeds >= 40) {
      EXPECT_NE(sum.put, 0u);
      EXPECT_NE(sum.relayed, 0u);
    }
  }
};

TEST_P(Cluster, LosesNothingInSilenceAndDrains) {
  const uint64_t seed = GetParam();
  const ClusterOutcome o = run_cluster(seed);
  sum.seeds++;
  sum.relayed += o.relayed;
  sum.put += o.put;
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

TEST(Cluster, SameSeedSameRun) {
  for (uint64_t seed = 0; seed < 5; seed++) {
    const uint64_t first = run_cluster(seed).trace;
    EXPECT_EQ(run_cluster(seed).trace, first) << "seed " << seed;
    EXPECT_NE(run_cluster(seed + 1000).trace, first) << "seed " << seed;
  }
}

}  // namespace
}  // namespace penstock
