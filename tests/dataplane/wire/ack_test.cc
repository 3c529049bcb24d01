#include "dataplane/wire/ack.h"

#include <gtest/gtest.h>
#include <random>
#include <set>
#include <vector>

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

Credit credit(uint32_t i) {
  return {i, i + 1, i + uint64_t{2}, i + uint64_t{3}};
}

TEST(Ack, CarriesAsManyCreditsAsFit) {
  std::vector<Credit> credits;
  for (uint32_t i = 0; i < 5; i++)
    credits.push_back(credit(i));
  for (size_t room = 0; room < 200; room++) {
    SCOPED_TRACE(room);
    Bytes out(room);
    const size_t size = write_ack({9, 1, {}}, credits, out);
    if (room < kAckHeaderSize) {
      EXPECT_EQ(size, 0u);
      continue;
    }
    const auto a = parse_ack(std::span(out).first(size));
    ASSERT_TRUE(a);
    ASSERT_EQ(a->credits.size(), std::min(credits.size(), credits_that_fit(room)));
    for (uint32_t i = 0; i < a->credits.size(); i++)
      EXPECT_EQ(a->credits[i], credit(i));
  }
}

TEST(Ack, RefusesASizeThatIsNotThatOfItsCredits) {
  const std::vector<Credit> credits(3);
  Bytes out(300);
  const size_t size = write_ack({9, 1, {}}, credits, out);
  for (size_t n = 0; n <= out.size(); n++) {
    EXPECT_EQ(parse_ack(std::span(out).first(n)).has_value(), n == size) << n;
  }
}

TEST(Ack, SpeaksOnlyOfPacketsThatExist) {
  for (uint64_t largest = 0; largest < 260; largest++) {
    for (unsigned bit = 0; bit < kAckBits; bit++) {
      Ack a{largest, 0, {}};
      a.bitmap[bit / 64] = uint64_t{1} << bit % 64;
      Bytes out(kAckHeaderSize);
      ASSERT_EQ(write_ack(a, {}, out), out.size());
      EXPECT_EQ(parse_ack(out).has_value(), bit + uint64_t{1} < largest) << largest << ' ' << bit;
    }
  }
}

TEST(Ack, HasExactlyThePacketsOfItsBitmap) {
  for (uint64_t seed = 0; seed < 100; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    Ack a{1000 + rng() % 100, 0, {}};
    std::set<uint64_t> came{a.largest};
    for (int i = 0; i < 60; i++) {
      const uint64_t bit = rng() % kAckBits;
      a.bitmap[bit / 64] |= uint64_t{1} << bit % 64;
      came.insert(a.largest - 1 - bit);
    }
    for (uint64_t packet = 0; packet < 1200; packet++) {
      EXPECT_EQ(a.has(packet), came.contains(packet)) << packet;
    }
  }
  EXPECT_FALSE(Ack{}.has(0));
}

}  // namespace
}  // namespace penstock
