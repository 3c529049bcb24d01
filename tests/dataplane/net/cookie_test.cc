#include "dataplane/net/cookie.h"

#include <gtest/gtest.h>
#include <set>

namespace penstock {
namespace {

constexpr uint64_t kMinute = 60'000'000'000;

std::span<const std::byte> bytes(std::string_view s) {
  return std::as_bytes(std::span(s));
}

TEST(CookieJar, IsGoodForWhatItWasBakedForAndForAWhile) {
  const CookieJar jar(7);
  const auto a = *parse_ip("10.0.0.1");
  const uint64_t now = 100 * kMinute;
  const uint64_t c = jar.bake(a, 9470, bytes("hello"), now);
  EXPECT_TRUE(jar.good(c, a, 9470, bytes("hello"), now));
  EXPECT_TRUE(jar.good(c, a, 9470, bytes("hello"), now + kMinute));
  EXPECT_FALSE(jar.good(c, a, 9470, bytes("hello"), now + 2 * kMinute));
  EXPECT_FALSE(jar.good(c, a, 9470, bytes("hello"), now - kMinute));
  EXPECT_FALSE(jar.good(c, a, 9471, bytes("hello"), now));
  EXPECT_FALSE(jar.good(c, a, 9470, bytes("hellp"), now));
  EXPECT_FALSE(jar.good(c, *parse_ip("10.0.0.2"), 9470, bytes("hello"), now));
  EXPECT_FALSE(jar.good(c, *parse_ip("a00:1::"), 9470, bytes("hello"), now));  // the same 16 bytes
  EXPECT_FALSE(jar.good(0, a, 9470, bytes("hello"), now));
}

TEST(CookieJar, NobodyElseBakesTheSame) {
  const auto a = *parse_ip("10.0.0.1");
  std::set<uint64_t> all;
  for (int i = 0; i < 100; i++)
    all.insert(CookieJar().bake(a, 1, bytes("x"), 0));
  EXPECT_EQ(all.size(), 100u);
  EXPECT_EQ(CookieJar(3).bake(a, 1, bytes("x"), 0), CookieJar(3).bake(a, 1, bytes("x"), 0));
}

}  // namespace
}  // namespace penstock
