#include "dataplane/wire/crc32c.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "dataplane/wire/hop_header.h"

namespace penstock {
namespace {

std::vector<std::byte> random_bytes(std::mt19937_64& rng, size_t n) {
  std::vector<std::byte> out(n);
  for (auto& b : out)
    b = static_cast<std::byte>(rng());
  return out;
}

// One bit at a time, as the polynomial is defined.
uint32_t slow_crc32c(std::span<const std::byte> bytes) {
  uint32_t crc = ~0u;
  for (const std::byte b : bytes) {
    crc ^= static_cast<uint8_t>(b);
    for (int i = 0; i < 8; i++)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c(std::as_bytes(std::span("123456789", 9))), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
  const std::vector<std::byte> zeros(32), ones(32, std::byte{0xff});
  EXPECT_EQ(crc32c(zeros), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(ones), 0x62a8ab43u);
}

TEST(Crc32c, IsThePolynomialAtEveryLengthAndGoesOnOverPieces) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    const auto bytes = random_bytes(rng, rng() % 600);
    const std::span all(bytes);
    const size_t cut = rng() % (all.size() + 1);
    EXPECT_EQ(crc32c(all), slow_crc32c(all));
    EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), crc32c(all));
  }
}

TEST(FrameCrc, TakesItsOwnFieldAsZeroAndDoesNotMindWhereTheFrameIsCut) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    auto frame = random_bytes(rng, kHopHeaderSize + rng() % 600);
    const std::span all(frame);
    const size_t cut = kHopHeaderSize + rng() % (all.size() - kHopHeaderSize + 1);
    const uint32_t crc = frame_crc(all.first(cut), all.subspan(cut));
    std::memset(&frame[kHopCrcAt], 0, 4);
    EXPECT_EQ(crc, slow_crc32c(all));
  }
}

TEST(FrameCrc, SeesEveryFlippedBit) {
  std::mt19937_64 rng(1);
  auto frame = random_bytes(rng, 90);
  const std::span all(frame);
  seal(all.first(60), all.subspan(60));
  ASSERT_TRUE(check(all.first(60), all.subspan(60)));
  ASSERT_TRUE(check(all, {}));
  for (size_t bit = 0; bit < all.size() * 8; bit++) {
    const auto mask = static_cast<std::byte>(1u << bit % 8);
    all[bit / 8] ^= mask;
    EXPECT_FALSE(check(all, {})) << bit;
    all[bit / 8] ^= mask;
  }
}

TEST(FrameCrc, RefusesWhatIsShorterThanAHopHeader) {
  const std::vector<std::byte> bytes(kHopHeaderSize - 1);
  EXPECT_FALSE(check(bytes, {}));
}

}  // namespace
}  // namespace penstock
