#include "dataplane/wire/crc32c.h"

#include <algorithm>
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

// The register over `bytes`, begun at `before`: one bit at a time, nothing inverted.
uint32_t slow_part(std::span<const std::byte> bytes, uint32_t before = 0) {
  for (const std::byte b : bytes) {
    before ^= static_cast<uint8_t>(b);
    for (int i = 0; i < 8; i++)
      before = (before >> 1) ^ ((before & 1) != 0 ? 0x82f63b78 : 0);
  }
  return before;
}

TEST(CrcPart, IsTheRegisterBegunAtZero) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    std::mt19937_64 rng(seed);
    const auto bytes = random_bytes(rng, rng() % 600);
    ASSERT_EQ(crc_part(bytes), slow_part(bytes)) << seed;
  }
}

TEST(CrcShift, IsThatManyZeroBytesMore) {
  const std::vector<std::byte> zeros(1 << 17);
  for (uint64_t seed = 0; seed < 300; seed++) {
    std::mt19937_64 rng(seed);
    const auto part = static_cast<uint32_t>(rng());
    const size_t n = seed < 100 ? seed : rng() % zeros.size();
    ASSERT_EQ(crc_shift(part, n), slow_part(std::span(zeros).first(n), part)) << seed;
    // Far further than can be walked: the steps add up.
    const uint64_t far = rng() >> 1 >> rng() % 60, more = rng() >> 1 >> rng() % 60;
    ASSERT_EQ(crc_shift(crc_shift(part, far), more), crc_shift(part, far + more)) << seed;
  }
}

TEST(CrcShift, PutsAWholeTogetherFromItsPieces) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    std::mt19937_64 rng(seed);
    const auto bytes = random_bytes(rng, 1 + rng() % 5000);
    const std::span all(bytes);
    uint32_t whole = 0;
    for (size_t at = 0, n = 0; at < all.size(); at += n) {
      n = std::min<size_t>(1 + rng() % 1000, all.size() - at);
      whole ^= crc_shift(crc_part(all.subspan(at, n)), all.size() - at - n);
    }
    ASSERT_EQ(whole, slow_part(all)) << seed;
  }
}

TEST(FrameCrc, IsTheSameFromAPartOfThePayload) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    auto frame = random_bytes(rng, kHopHeaderSize + rng() % 2000);
    const std::span all(frame);
    const size_t cut = kHopHeaderSize + rng() % (all.size() - kHopHeaderSize + 1);
    const auto header = all.first(cut), payload = all.subspan(cut);
    seal(header, crc_part(payload), payload.size());
    EXPECT_TRUE(check(header, payload));
    EXPECT_TRUE(check(header, crc_part(payload), payload.size()));
    all[rng() % all.size()] ^= std::byte{1};
    EXPECT_FALSE(check(header, crc_part(payload), payload.size()));
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
  EXPECT_FALSE(check(bytes, 0, 0));
}

}  // namespace
}  // namespace penstock
