// Large messages to many nodes leave their source once, whatever becomes of the nodes on their way.
// On virtual time, so the figures are the same everywhere; `bench/run --lossy` has them for 1 GiB.
#include <gtest/gtest.h>

#include "tests/support/sim_runs.h"

namespace penstock::test {
namespace {

constexpr double kMessage = 4 << 20;
constexpr double kSecond = 1e9 * 12.5 / (16 * kMessage);  // in times of the 16 messages of a run

ChainOutcome run(const ChainRun& r) {
  const ChainOutcome o = run_chain(r);
  EXPECT_TRUE(o.done);
  EXPECT_EQ(o.wrong, 0u);
  return o;
}

TEST(Chain, LargeMessagesLeaveTheSourceOnce) {
  for (const uint32_t receivers : {2u, 8u}) {
    const ChainOutcome o = run({.receivers = receivers});
    EXPECT_LE(o.egress, 1.02) << receivers;
    EXPECT_LE(o.time, 1.1) << receivers;
    EXPECT_EQ(o.relayed, (receivers - 1) * 16 * uint64_t{4 << 20}) << receivers;
    EXPECT_EQ(o.fell_back, 0u) << receivers;
  }
}

TEST(Chain, WithoutItEachReceiverCostsTheWhole) {
  const ChainOutcome o = run({.receivers = 4, .chain = false});
  EXPECT_GE(o.egress, 4.0);
  EXPECT_EQ(o.relayed, 0u);
}

TEST(Chain, RepairsLossWhereItHappens) {
  const ChainOutcome o = run({.receivers = 4, .lost = 10'000});
  EXPECT_GT(o.relayed, 3 * 16 * uint64_t{4 << 20});
  EXPECT_LE(o.egress, 1.03);
  EXPECT_LE(o.time, 2.0);
  EXPECT_EQ(o.fell_back, 0u);
}

// Neither side holds it twice. (Sanitizers take long over a GiB.)
TEST(Chain, CarriesOneMessageOfAGibibyte) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr uint64_t kSize = 64 << 20;
#else
  constexpr uint64_t kSize = 1 << 30;
#endif
  const ChainOutcome o = run({.receivers = 2, .size = kSize, .messages = 1, .lost = 1'000});
  EXPECT_LE(o.egress, 1.02);
  EXPECT_LE(o.time, 1.2);
  EXPECT_EQ(o.fell_back, 0u);
}

// Behind the last of the chain is nobody; which node that is, the run decides.
TEST(Chain, OutlivesEachOfItsNodes) {
  uint32_t last = 0;
  for (const uint32_t killed : {1u, 4u, 8u}) {
    const ChainOutcome o = run({.killed = killed});
    EXPECT_LE(o.time, 1.1 + kSecond) << killed;
    EXPECT_LE(o.egress, 8.0) << killed;
    if (o.fell_back == 0) last++;
  }
  EXPECT_LE(last, 1u);
}

// Nobody has to wait for it but its own messages.
TEST(Chain, GoesOnWithoutTheSlow) {
  for (const uint32_t slow : {1u, 4u}) {
    const ChainOutcome o = run({.slow = slow});
    EXPECT_LE(o.others, 8.0) << slow;
    EXPECT_GE(o.time, 80.0) << slow;
  }
}

TEST(Chain, TheSameSeedIsTheSameRun) {
  const ChainRun r{.receivers = 3, .messages = 4, .lost = 10'000};
  EXPECT_EQ(run(r).trace, run(r).trace);
}

}  // namespace
}  // namespace penstock::test
