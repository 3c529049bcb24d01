#include "dataplane/net/checksum.h"

#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "tests/dataplane/net/hex.h"

namespace penstock {
namespace {

// As RFC 1071 defines it: 16-bit words in network order, carries brought round.
uint16_t slow_sum(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i++) {
    sum += static_cast<uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  }
  while (sum >> 16 != 0)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

TEST(Checksum, GivesThePublishedValues) {
  EXPECT_EQ(ones_sum(hex("0001 f203 f4f5 f6f7")), 0xddf2);  // RFC 1071, 3
  const auto header = hex("4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7");
  EXPECT_EQ(InternetSum().add(header).checksum(), 0xb861);
  EXPECT_EQ(ones_sum({}), 0u);
}

TEST(Checksum, IsTheDefinitionAtEveryLengthAndPlace) {
  for (uint64_t seed = 0; seed < 500; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    std::vector<std::byte> bytes(rng() % 700 + 8);
    const bool full = seed % 5 == 0;  // the most carries
    for (auto& b : bytes)
      b = full ? std::byte{0xff} : static_cast<std::byte>(rng());
    const auto all = std::span(bytes).subspan(rng() % 8);
    EXPECT_EQ(ones_sum(all), slow_sum(all));
  }
}

TEST(Checksum, DoesNotMindWhereTheBytesAreCut) {
  for (uint64_t seed = 0; seed < 500; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    std::vector<std::byte> bytes(rng() % 300);
    for (auto& b : bytes)
      b = static_cast<std::byte>(rng());
    InternetSum sum;
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const size_t n = 1 + rng() % rest.size();
      sum.add(rest.first(n));
      rest = rest.subspan(n);
    }
    EXPECT_EQ(sum.checksum(), static_cast<uint16_t>(~slow_sum(bytes)));
  }
}

TEST(Checksum, FoldsAnyNumber) {
  EXPECT_EQ(fold(0), 0u);
  EXPECT_EQ(fold(0xffff), 0xffffu);
  EXPECT_EQ(fold(0x10000), 1u);
  EXPECT_EQ(fold(~uint64_t{0}), 0xffffu);
  EXPECT_EQ(fold(0xffffffff00000001u), 1u);
}

}  // namespace
}  // namespace penstock
