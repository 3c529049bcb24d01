#include "rdma/credits.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(SendCredits, AGrantIsATotalAndOldOnesAreNoNews) {
  SendCredits c(10);
  c.take(10);
  EXPECT_EQ(c.room(), 0u);
  EXPECT_TRUE(c.grant(15));
  EXPECT_TRUE(c.grant(15));
  EXPECT_TRUE(c.grant(12));
  EXPECT_EQ(c.room(), 5u);
}

TEST(SendCredits, MoreThanThePeerCanHaveGrantedIsRefused) {
  SendCredits c(10);
  c.take(4);
  EXPECT_TRUE(c.grant(14));
  EXPECT_FALSE(c.grant(15));
  EXPECT_FALSE(c.grant(~uint64_t{0}));
  EXPECT_EQ(c.room(), 10u);
}

TEST(ReceiveShares, TellsWhenHalfAShareWasUsed) {
  ReceiveShares shares(32, 4);
  ASSERT_EQ(shares.window(), 8u);
  const uint32_t s = *shares.open();
  EXPECT_EQ(shares.consumed(s, 3), 0u);
  EXPECT_EQ(shares.consumed(s, 1), 12u);
  EXPECT_EQ(shares.consumed(s, 3), 0u);
  EXPECT_EQ(shares.consumed(s, 5), 20u);
}

TEST(ReceiveShares, TheSmallestShareIsTold) {
  ReceiveShares shares(1, 1);
  const uint32_t s = *shares.open();
  EXPECT_EQ(shares.consumed(s, 1), 2u);
}

TEST(ReceiveShares, HandsOutNoMoreThanThereIs) {
  ReceiveShares shares(10, 3);
  EXPECT_EQ(shares.window(), 3u);
  std::vector<uint32_t> open;
  for (int i = 0; i < 3; i++)
    open.push_back(*shares.open());
  EXPECT_EQ(shares.open().error(), Errc::kFull);
  shares.consumed(open[1], 3);
  shares.close(open[1]);
  const auto again = shares.open();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(shares.consumed(*again, 2), 5u);  // begins anew
  EXPECT_EQ(ReceiveShares(2, 3).open().error(), Errc::kFull);
}

}  // namespace
}  // namespace penstock
