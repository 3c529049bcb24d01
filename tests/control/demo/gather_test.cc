#include "control/demo/gather.h"

#include <gtest/gtest.h>

namespace penstock::demo {
namespace {

std::vector<std::byte> message(const MessageHeader& header, float value) {
  std::vector<std::byte> bytes(message_size(header));
  write_message(header, std::vector<float>(kLayerSizes[header.layer], value), bytes);
  return bytes;
}

MessageHeader gradient(uint32_t step, uint16_t rank, uint16_t layer) {
  MessageHeader h;
  h.kind = Kind::kGradient;
  h.step = step;
  h.rank = rank;
  h.layer = layer;
  return h;
}

bool take(Gather& gather, const MessageHeader& h, float value) {
  return gather.take(h, message(h, value));
}

TEST(Gather, IsWholeWhenEveryLayerOfEveryRankIsThere) {
  Gather gather(2);
  gather.start(5);
  EXPECT_TRUE(take(gather, gradient(5, 1, 0), 1));
  EXPECT_TRUE(take(gather, gradient(5, 0, 1), 2));
  EXPECT_TRUE(take(gather, gradient(5, 0, 0), 3));
  EXPECT_TRUE(gather.has(0));
  EXPECT_FALSE(gather.has(1));
  EXPECT_FALSE(gather.whole());
  EXPECT_TRUE(take(gather, gradient(5, 1, 1), 4));
  EXPECT_TRUE(gather.whole());
  EXPECT_EQ(gather.layers()[1][0].front(), 1.0F);
  EXPECT_EQ(gather.layers()[0][1].back(), 2.0F);
}

TEST(Gather, BeginsWithStepZero) {
  Gather gather(1);
  EXPECT_FALSE(gather.whole());
  EXPECT_TRUE(take(gather, gradient(0, 0, 0), 1));
  EXPECT_TRUE(take(gather, gradient(0, 0, 1), 1));
  EXPECT_TRUE(gather.whole());
}

TEST(Gather, TakesNothingTwiceAndNothingOfAnotherStepOrRank) {
  Gather gather(1);
  gather.start(1);
  EXPECT_TRUE(take(gather, gradient(1, 0, 0), 1));
  EXPECT_FALSE(take(gather, gradient(1, 0, 0), 9));
  EXPECT_FALSE(take(gather, gradient(0, 0, 1), 9));
  EXPECT_FALSE(take(gather, gradient(1, 1, 1), 9));
  EXPECT_FALSE(gather.whole());
  EXPECT_EQ(gather.layers()[0][0].front(), 1.0F);
}

}  // namespace
}  // namespace penstock::demo
