// How a message is cut for several rails, and what is measured of them.
#include "dataplane/rail_share.h"

#include <gtest/gtest.h>
#include <numeric>

#include "tests/support/ledger.h"

namespace penstock {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kGrain = 256 << 10;
using Loads = std::array<RailLoad, kMostRails>;

TEST(RailShare, OneMessageGoesWhereItIsThereFirst) {
  EXPECT_EQ(by_one_rail(Loads{{{1e9, 0}, {2e9, 0}}}, 1000), (RailShares{0, 1000}));
  EXPECT_EQ(by_one_rail(Loads{{{1e9, 0}, {2e9, 5000}}}, 1000), (RailShares{1000}));
  EXPECT_EQ(by_one_rail(Loads{{{0, 0}, {0, 0}, {1e9, 1 << 30}}}, 7), (RailShares{0, 0, 7}));
}

TEST(RailShare, PartsAreAsWideAsTheirRails) {
  EXPECT_EQ(by_all_rails(Loads{{{1e9, 0}, {1e9, 0}}}, 2 * kMiB, kGrain), (RailShares{kMiB, kMiB}));
  EXPECT_EQ(by_all_rails(Loads{{{3e9, 0}, {1e9, 0}}}, 64 * kMiB, kGrain),
            (RailShares{48 * kMiB, 16 * kMiB}));
  EXPECT_EQ(by_all_rails(Loads{{{1e9, 0}, {1e9, 0}, {1e9, 0}, {1e9, 0}}}, 4 * kMiB + 1, kGrain),
            (RailShares{kMiB, kMiB, kMiB, kMiB + 1}));
}

// All are done together, what was under way included.
TEST(RailShare, WhatIsUnderWayCounts) {
  EXPECT_EQ(by_all_rails(Loads{{{1e9, 2 * kMiB}, {1e9, 0}}}, 6 * kMiB, kGrain),
            (RailShares{2 * kMiB, 4 * kMiB}));
  EXPECT_EQ(by_all_rails(Loads{{{1e9, 100 * kMiB}, {1e9, 0}, {1e9, 0}}}, 6 * kMiB, kGrain),
            (RailShares{0, 3 * kMiB, 3 * kMiB}));
}

TEST(RailShare, ARailThatIsMuchSlowerGetsNothing) {
  EXPECT_EQ(by_all_rails(Loads{{{100e9, 0}, {1e9, 0}}}, 2 * kMiB, kGrain), (RailShares{2 * kMiB}));
}

// Whatever the loads: all of it goes, in whole grains but for one part, none by a rail that takes
// none, and where several take it none is late by more than the rounding.
TEST(RailShare, AddsUpWhateverTheLoads) {
  for (uint64_t seed = 0; seed < 20'000; seed++) {
    test::Random r(seed);
    Loads loads;
    bool any = false;
    for (RailLoad& l : loads) {
      if (r.chance(30)) continue;
      l.bytes_per_s = 1e6 * static_cast<double>(1 + r.below(100'000));
      l.under_way = r.chance(50) ? 0 : r.below(1 << 28);
      any = true;
    }
    const uint64_t grain = 64 << r.below(14);
    const uint64_t len = 1 + r.below(uint64_t{1} << (10 + r.below(25)));
    const RailShares shares = by_all_rails(loads, len, grain);
    EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), uint64_t{0}), any ? len : 0)
        << "seed " << seed;
    size_t odd = 0;
    for (size_t i = 0; i < kMostRails; i++) {
      odd += shares[i] % grain != 0;
      EXPECT_TRUE(shares[i] == 0 || loads[i].bytes_per_s > 0) << "seed " << seed;
    }
    EXPECT_LE(odd, 1u) << "seed " << seed;
    const auto done = [&](size_t i) {
      return static_cast<double>(loads[i].under_way + shares[i]) / loads[i].bytes_per_s;
    };
    for (size_t i = 0; i < kMostRails; i++)
      for (size_t k = 0; k < kMostRails; k++)
        if (shares[i] != 0 && shares[k] != 0) {
          const double slack = 2 * kMostRails * static_cast<double>(grain);
          EXPECT_LE(done(i), done(k) + slack / loads[i].bytes_per_s + slack / loads[k].bytes_per_s)
              << "seed " << seed;
        }
  }
}

TEST(RailRate, FollowsWhatMovesWhileSomethingIsUnderWay) {
  RailRate rate(1'000'000'000);
  uint64_t now = 0;
  for (int i = 0; i < 40; i++) {
    now += 1'000'000'000;  // nothing is under way
    rate.begun(4 * kMiB, now);
    rate.arrived(2 * kMiB, now += 1'000'000);
    rate.arrived(2 * kMiB, now += 1'000'000);
  }
  EXPECT_NEAR(rate.bytes_per_s(), 2e3 * kMiB, 1e7);
  EXPECT_EQ(rate.under_way(), 0u);
}

// The peer says of many at once that they are there.
TEST(RailRate, IsNotFooledByWhatIsToldTogether) {
  RailRate rate(1'000'000'000);
  uint64_t now = 0;
  for (int i = 0; i < 40; i++) {
    for (int k = 0; k < 8; k++)
      rate.begun(kMiB, now);
    now += 4'000'000;
    for (int k = 0; k < 8; k++)
      rate.arrived(kMiB, now);
  }
  EXPECT_NEAR(rate.bytes_per_s(), 2e3 * kMiB, 1e7);
}

// A small message alone on its way tells of the delay.
TEST(RailRate, LeavesOutWhatIsTooShort) {
  RailRate rate(1'000'000'000);
  for (uint64_t i = 1; i < 100; i++) {
    rate.begun(16384, i * 1'000'000);
    rate.arrived(16384, i * 1'000'000 + 100'000);
  }
  EXPECT_EQ(rate.bytes_per_s(), 1e9);
}

}  // namespace
}  // namespace penstock
