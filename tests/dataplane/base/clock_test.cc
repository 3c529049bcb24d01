#include "dataplane/base/clock.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

// How far now() is from the kernel's clock, when both are read within a microsecond or so.
int64_t error_ns(const Clock& clock) {
  int64_t best = INT64_MAX;
  for (int i = 0; i < 1000; i++) {
    const uint64_t before = Clock::raw_ns();
    const uint64_t now = clock.now();
    const uint64_t after = Clock::raw_ns();
    if (after - before > 2'000) continue;
    const auto e = static_cast<int64_t>(now - before);
    if (std::abs(e) < std::abs(best)) best = e;
  }
  return best;
}

TEST(Clock, FollowsTheKernelsRawClock) {
  Clock clock;
  EXPECT_LT(std::abs(error_ns(clock)), 1'000'000);
}

TEST(Clock, NeverGoesBackAcrossRecalibration) {
  Clock clock;
  uint64_t last = clock.now();
  for (int i = 0; i < 200; i++) {
    for (int k = 0; k < 1000; k++) {
      const uint64_t now = clock.now();
      ASSERT_GE(now, last);
      last = now;
    }
    clock.recalibrate();
  }
  EXPECT_LT(std::abs(error_ns(clock)), 1'000'000);
}

}  // namespace
}  // namespace penstock
