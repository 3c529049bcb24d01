#include "dataplane/link/rtt.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Rtt, FirstSampleSetsAll) {
  Rtt r;
  EXPECT_EQ(r.probe_timeout(0), 2 * Rtt::kInitialNs);
  r.sample(10'000, 0);
  EXPECT_EQ(r.smoothed(), 10'000u);
  EXPECT_EQ(r.min(), 10'000u);
  EXPECT_EQ(r.probe_timeout(0), 2 * 10'000u + 4 * 5'000u);
  EXPECT_EQ(r.probe_timeout(1'000'000), 1'000'000u);
  EXPECT_EQ(r.loss_delay(), 11'250u);
}

TEST(Rtt, SmoothsAsRfc9002Does) {
  Rtt r;
  r.sample(8'000, 0);
  r.sample(16'000, 0);
  EXPECT_EQ(r.smoothed(), 9'000u);
  EXPECT_EQ(r.min(), 8'000u);
  EXPECT_EQ(r.loss_delay(), 18'000u);  // of the latest, which is larger
  EXPECT_EQ(r.probe_timeout(0), 2 * 9'000u + 4 * 5'000u);
}

TEST(Rtt, ThePeersDelayCountsOnlyWhereItIsPossible) {
  Rtt r;
  r.sample(10'000, 0);
  r.sample(30'000, 20'000);
  EXPECT_EQ(r.smoothed(), 10'000u);
  r.sample(12'000, 20'000);  // it cannot have waited longer than all took
  EXPECT_EQ(r.smoothed(), 10'250u);
}

TEST(Rtt, NothingIsLostWithinAMicrosecond) {
  Rtt r;
  r.sample(10, 0);
  EXPECT_EQ(r.loss_delay(), 1000u);
}

TEST(Rtt, WaitsForWhatComesLateWithinTwoRoundTrips) {
  Rtt r;
  r.sample(80'000, 0);
  EXPECT_EQ(r.loss_delay(), 90'000u);
  r.late(60'000);
  EXPECT_EQ(r.loss_delay(), 90'000u);
  r.late(120'000);
  EXPECT_EQ(r.loss_delay(), 135'000u);
  r.late(10'000'000);
  EXPECT_EQ(r.loss_delay(), 180'000u);
}

}  // namespace
}  // namespace penstock
