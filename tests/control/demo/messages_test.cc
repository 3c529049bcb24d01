#include "control/demo/messages.h"

#include <gtest/gtest.h>

namespace penstock::demo {
namespace {

constexpr MessageHeader kGradient{.step = 7,
                                  .rank = 3,
                                  .layer = 1,
                                  .kind = Kind::kGradient,
                                  .loss = 2.5F,
                                  .weights_latency_ns = 1234};

std::vector<std::byte> message(const MessageHeader& header) {
  std::vector<std::byte> bytes(message_size(header));
  write_message(header, std::vector<float>(kLayerSizes[header.layer], 0.5F), bytes);
  return bytes;
}

TEST(Messages, ReadsBackWhatWasWritten) {
  const auto bytes = message(kGradient);
  const auto read = read_header(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->step, 7u);
  EXPECT_EQ(read->rank, 3u);
  EXPECT_EQ(read->layer, 1u);
  EXPECT_EQ(read->loss, 2.5F);
  EXPECT_EQ(read->weights_latency_ns, 1234u);
  std::vector<float> floats(kLayerSizes[1]);
  read_floats(bytes, floats);
  EXPECT_EQ(floats, std::vector<float>(kLayerSizes[1], 0.5F));
}

TEST(Messages, RefusesWhatIsNotOfThisJob) {
  const auto good = message(kGradient);
  for (size_t n : {size_t{0}, size_t{31}, size_t{32}, good.size() - 1})
    EXPECT_FALSE(read_header(std::span(good).first(n))) << n;
  for (size_t at : {0, 10, 12}) {  // magic, layer, kind
    auto bad = good;
    bad[at] = std::byte{99};
    EXPECT_FALSE(read_header(bad)) << at;
  }
}

}  // namespace
}  // namespace penstock::demo
