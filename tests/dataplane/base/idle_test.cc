#include "dataplane/base/idle.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

constexpr IdleConfig kConfig{
    .mode = IdleMode::kAdaptive, .spin_ns = 100, .yield_ns = 200, .max_sleep_ns = 5000};

TEST(Idle, SpinsThenYieldsThenSleeps) {
  Idle idle(kConfig);
  EXPECT_EQ(idle.turn(1, 1000), 0u);
  EXPECT_EQ(idle.turn(0, 1099), 0u);
  EXPECT_EQ(idle.turn(0, 1199), 0u);
  EXPECT_EQ(idle.turn(0, 1200), 5000u);
}

TEST(Idle, SleepsAgainAtOnceWhenItWokeForNothing) {
  Idle idle(kConfig);
  idle.turn(1, 1000);
  EXPECT_EQ(idle.turn(0, 6200), 5000u);
  EXPECT_EQ(idle.turn(0, 11200), 5000u);
}

TEST(Idle, AnyWorkStartsItAnew) {
  Idle idle(kConfig);
  idle.turn(1, 1000);
  EXPECT_EQ(idle.turn(0, 9000), 5000u);
  EXPECT_EQ(idle.turn(7, 9001), 0u);
  EXPECT_EQ(idle.turn(0, 9100), 0u);
}

TEST(Idle, ASpinningCoreNeverSleeps) {
  Idle idle({.mode = IdleMode::kSpin, .spin_ns = 100, .yield_ns = 200, .max_sleep_ns = 5000});
  idle.turn(1, 0);
  EXPECT_EQ(idle.turn(0, 1'000'000'000), 0u);
}

}  // namespace
}  // namespace penstock
