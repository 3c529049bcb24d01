// Loss and incast may cost only so much. On virtual time, so the figures are the same everywhere;
// `bench/run --lossy` prints them all.
#include <gtest/gtest.h>

#include "tests/support/sim_runs.h"

namespace penstock::test {
namespace {

constexpr uint64_t kMessages = 512;  // 32 MiB

struct Bar {
  uint32_t lost;  // of a million
  double goodput;
};

TEST(Lossy, CostsLittle) {
  for (const uint32_t receivers : {1u, 8u}) {
    const LossyOutcome none = run_lossy({.receivers = receivers, .messages = kMessages});
    ASSERT_TRUE(none.done);
    EXPECT_GE(none.bytes_per_ns * receivers, 0.9 * 12.5) << receivers;
    for (const Bar bar : {Bar{1'000, 0.97}, Bar{10'000, 0.94}, Bar{50'000, 0.85}}) {
      const LossyOutcome o =
          run_lossy({.receivers = receivers, .lost = bar.lost, .messages = kMessages});
      SCOPED_TRACE(testing::Message() << receivers << " receivers, lost " << bar.lost);
      EXPECT_TRUE(o.done);
      EXPECT_EQ(o.wrong, 0u);
      EXPECT_GE(o.bytes_per_ns, bar.goodput * none.bytes_per_ns);
      EXPECT_LE(o.wire, none.wire * (1 + 1.3 * bar.lost / 1e6));
    }
  }
}

TEST(Lossy, CompletesWhenAFifthIsLost) {
  const LossyOutcome o = run_lossy({.lost = 200'000, .messages = kMessages});
  EXPECT_TRUE(o.done);
  EXPECT_EQ(o.wrong, 0u);
}

TEST(Lossy, BurstsCostLittleMore) {
  const LossyOutcome none = run_lossy({.messages = kMessages});
  const LossyOutcome o = run_lossy({.lost = 10'000, .in_a_row = 8, .messages = kMessages});
  EXPECT_TRUE(o.done);
  EXPECT_EQ(o.wrong, 0u);
  EXPECT_GE(o.bytes_per_ns, 0.9 * none.bytes_per_ns);
}

TEST(Incast, ThirtyTwoToOneThroughASmallBuffer) {
  for (const bool marks : {false, true}) {
    const IncastOutcome o = run_incast({.marks = marks});
    EXPECT_TRUE(o.done);
    EXPECT_EQ(o.wrong, 0u);
    EXPECT_LT(o.dropped, 0.01);
    EXPECT_LE(o.time, 1.2);
  }
}

// Where the receiver does not know what it can take, marks and delay must do.
TEST(Incast, MarksAloneKeepTheQueueShort) {
  const IncastOutcome o = run_incast({.marks = true, .credits = false});
  EXPECT_TRUE(o.done);
  EXPECT_EQ(o.wrong, 0u);
  EXPECT_LT(o.dropped, 0.01);
  EXPECT_LE(o.time, 1.2);
}

}  // namespace
}  // namespace penstock::test
