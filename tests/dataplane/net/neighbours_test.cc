#include "dataplane/net/neighbours.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

constexpr uint64_t kMs = 1'000'000;
const MacAddress kMac{{2, 0, 0, 0, 0, 1}};
const MacAddress kOther{{2, 0, 0, 0, 0, 2}};

IpAddress ip(unsigned i) {
  IpAddress a = *parse_ip("10.0.0.0");
  a.bytes[2] = static_cast<uint8_t>(i >> 8);
  a.bytes[3] = static_cast<uint8_t>(i);
  return a;
}

TEST(Neighbours, AsksUntilItIsAnsweredEverLessOften) {
  Neighbours n;
  ASSERT_EQ(n.want(ip(1), 0), Errc::kOk);
  uint64_t asked = 0;
  uint64_t now = 0;
  for (; now < 10'000 * kMs; now = n.next_due()) {
    EXPECT_EQ(n.take_due(now), ip(1));
    EXPECT_EQ(n.take_due(now), std::nullopt) << "twice at " << now;
    asked++;
  }
  EXPECT_EQ(asked, 10u);  // at 0, 0.1, 0.3, 0.7, 1.5 s and then each 1.6 s
  EXPECT_EQ(n.find(ip(1)), nullptr);
  EXPECT_TRUE(n.learn(ip(1), kMac, now));
  EXPECT_EQ(*n.find(ip(1)), kMac);
  EXPECT_EQ(n.next_due(), now + Neighbours::kRefreshNs);
}

TEST(Neighbours, KeepsAnAddressThatIsNoLongerAnswered) {
  Neighbours n;
  n.want(ip(1), 0);
  n.learn(ip(1), kMac, 0);
  for (uint64_t now = 0; now < 100'000 * kMs; now += 100 * kMs)
    n.take_due(now);
  EXPECT_EQ(*n.find(ip(1)), kMac);
}

TEST(Neighbours, SaysWhenAnAddressIsNew) {
  Neighbours n;
  n.want(ip(1), 0);
  EXPECT_TRUE(n.learn(ip(1), kMac, 0));
  EXPECT_FALSE(n.learn(ip(1), kMac, 0));
  EXPECT_TRUE(n.learn(ip(1), kOther, 0));
  EXPECT_EQ(*n.find(ip(1)), kOther);
}

TEST(Neighbours, LearnsNothingFromStrangers) {
  Neighbours n;
  EXPECT_FALSE(n.learn(ip(1), kMac, 0));
  EXPECT_EQ(n.find(ip(1)), nullptr);
}

TEST(Neighbours, NeverAsksForAStaticAddressNorUnlearnsIt) {
  Neighbours n;
  ASSERT_EQ(n.add_static(ip(1), kMac), Errc::kOk);
  EXPECT_EQ(n.want(ip(1), 0), Errc::kOk);
  EXPECT_EQ(n.next_due(), Neighbours::kNever);
  EXPECT_FALSE(n.learn(ip(1), kOther, 0));
  n.forget(ip(1));
  ASSERT_NE(n.find(ip(1)), nullptr);
  EXPECT_EQ(*n.find(ip(1)), kMac);
}

TEST(Neighbours, IsFullAtItsCapacityAndUsesRowsAgain) {
  Neighbours n;
  for (unsigned i = 0; i < Neighbours::kCapacity; i++)
    ASSERT_EQ(n.want(ip(i), 0), Errc::kOk);
  EXPECT_EQ(n.want(ip(1000), 0), Errc::kFull);
  EXPECT_EQ(n.add_static(ip(1000), kMac), Errc::kFull);
  EXPECT_EQ(n.want(ip(5), 0), Errc::kOk) << "is there already";
  n.forget(ip(5));
  EXPECT_EQ(n.want(ip(1000), 0), Errc::kOk);
  EXPECT_TRUE(n.learn(ip(1000), kMac, 0));
}

}  // namespace
}  // namespace penstock
