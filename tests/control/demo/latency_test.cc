#include "control/demo/latency.h"

#include <gtest/gtest.h>

namespace penstock::demo {
namespace {

TEST(Latency, GivesQuantilesThatAreAtMostSevenPercentTooLarge) {
  Latency l;
  for (uint64_t us = 1; us <= 1000; us++)
    l.add(us * 1000);
  EXPECT_EQ(l.count(), 1000u);
  EXPECT_GE(l.quantile_ns(0.5), 500'000u);
  EXPECT_LE(l.quantile_ns(0.5), 535'000u);
  EXPECT_GE(l.quantile_ns(0.99), 990'000u);
  EXPECT_LE(l.quantile_ns(0.99), 1'060'000u);
}

TEST(Latency, HoldsEveryDuration) {
  for (uint64_t ns : {uint64_t{0}, uint64_t{1}, uint64_t{15}, uint64_t{16}, uint64_t{17},
                      uint64_t{1} << 40, ~uint64_t{0}}) {
    Latency l;
    l.add(ns);
    EXPECT_GE(l.quantile_ns(1), ns);
    EXPECT_LE(static_cast<double>(l.quantile_ns(1)), static_cast<double>(ns) * 1.07);
  }
}

TEST(Latency, IsZeroWhenEmpty) {
  Latency l;
  l.add(7);
  l.clear();
  EXPECT_EQ(l.quantile_ns(0.5), 0u);
}

}  // namespace
}  // namespace penstock::demo
