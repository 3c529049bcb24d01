#include "dataplane/wire/hello.h"

#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "dataplane/wire/hop_header.h"

namespace penstock {
namespace {

constexpr size_t kBody = kHelloFrameSize - kHopHeaderSize;

TEST(Hello, ComesBackAsItWasWritten) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    const Hello h{static_cast<uint16_t>(rng()),
                  static_cast<uint16_t>(rng()),
                  static_cast<uint16_t>(rng()),
                  rng(),
                  rng(),
                  rng(),
                  static_cast<uint32_t>(rng()),
                  static_cast<uint32_t>(rng()),
                  rng(),
                  rng(),
                  rng()};
    std::vector<std::byte> out(kBody, std::byte{0xee});
    ASSERT_EQ(write_hello(h, out), kBody);
    EXPECT_EQ(parse_hello(out), h);
    ASSERT_EQ(write_hello_ack(h, out), kHelloSize);
    EXPECT_EQ(parse_hello_ack(std::span(out).first(kHelloSize)), h);
  }
}

TEST(Hello, RefusesEveryOtherSize) {
  const std::vector<std::byte> zeros(kBody + 10);
  for (size_t n = 0; n <= zeros.size(); n++) {
    const auto body = std::span(zeros).first(n);
    EXPECT_EQ(parse_hello(body).has_value(), n == kBody) << n;
    EXPECT_EQ(parse_hello_ack(body).has_value(), n == kHelloSize) << n;
  }
}

TEST(Hello, RefusesWhatIsNotZeroWhereItMustBe) {
  std::vector<std::byte> out(kBody);
  write_hello({}, out);
  for (size_t i = 0; i < out.size(); i++) {
    const bool reserved = i == 6 || i == 7 || i >= kHelloSize;
    out[i] ^= std::byte{0x40};
    EXPECT_EQ(parse_hello(out).has_value(), !reserved) << i;
    out[i] ^= std::byte{0x40};
  }
}

TEST(Hello, WritesNothingIntoTooLittleRoom) {
  std::vector<std::byte> out(kBody, std::byte{0xee});
  EXPECT_EQ(write_hello({}, std::span(out).first(kBody - 1)), 0u);
  EXPECT_EQ(write_hello_ack({}, std::span(out).first(kHelloSize - 1)), 0u);
  EXPECT_EQ(out, std::vector(kBody, std::byte{0xee}));
}

}  // namespace
}  // namespace penstock
