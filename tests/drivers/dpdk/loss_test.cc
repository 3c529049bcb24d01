#include "tests/drivers/dpdk/loss.h"

#include <gtest/gtest.h>

#include "tests/drivers/dpdk/frames.h"

namespace penstock {
namespace {

// Which of the frames arrive.
std::vector<uint32_t> survivors(uint64_t seed) {
  auto a = DpdkDevice::open(*parse_port("ring:loss"));
  auto b = DpdkDevice::open(*parse_port("ring:loss"));
  EXPECT_TRUE(a && b);
  std::vector<uint32_t> out;
  Region region;
  {
    Loss loss(**b, 10, seed);
    for (uint32_t i = 0; i < 1000; i++) {
      const Bytes bytes = pattern(200 + i, 1);
      region.base = reinterpret_cast<const std::byte*>(bytes.data());
      EXPECT_TRUE(send((*a)->queue(0), bytes, 60, &region));
      Frame f{};
      if ((*b)->queue(0).rx_burst({&f, 1}) == 0) continue;
      EXPECT_EQ(bytes_of(f), bytes);
      out.push_back(i);
      (*b)->queue(0).release({&f, 1});
    }
    EXPECT_EQ(loss.dropped() + out.size(), 1000u);
  }
  EXPECT_TRUE(region.in_flight.idle());
  EXPECT_TRUE((*a)->buffers_all_back());
  return out;
}

TEST(Loss, IsTheSameForTheSameSeedAndLeaksNothing) {
  const auto first = survivors(1), again = survivors(1), other = survivors(2);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
  EXPECT_GT(first.size(), 800u);
  EXPECT_LT(first.size(), 1000u);
}

}  // namespace
}  // namespace penstock
