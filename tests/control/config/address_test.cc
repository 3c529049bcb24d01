#include "control/config/address.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Address, IsThatOfOneHost) {
  for (const char* bad : {"", "10.1.0", "10.1.0.256", "0.0.0.0", "224.0.0.1", "255.255.255.255",
                          "::", "ff02::1", "fd00::g", "10.1.0.1 ", "host"}) {
    EXPECT_FALSE(parse_host(bad)) << bad;
  }
}

TEST(Prefix, RoundTrips) {
  for (const char* text : {"10.1.0.1/24", "fd00::1/64"}) {
    const auto prefix = parse_prefix(text);
    ASSERT_TRUE(prefix) << text;
    EXPECT_EQ(format(*prefix), text);
  }
}

TEST(Prefix, ContainsItsNetwork) {
  const IpPrefix p = *parse_prefix("10.1.3.1/22");
  EXPECT_TRUE(contains(p, *parse_host("10.1.0.9")));
  EXPECT_FALSE(contains(p, *parse_host("10.1.4.1")));
  EXPECT_FALSE(contains(p, *parse_host("fd00::1")));
  EXPECT_TRUE(contains(*parse_prefix("fd00::1/128"), *parse_host("fd00::1")));
}

TEST(Prefix, HasALengthOfItsFamily) {
  for (const char* bad : {"10.1.0.1", "10.1.0.1/", "10.1.0.1/33", "10.1.0.1/0", "10.1.0.1/2x",
                          "fd00::1/129", "/24"}) {
    EXPECT_FALSE(parse_prefix(bad)) << bad;
  }
}

TEST(Endpoint, IsAnAddressAndAPort) {
  for (const char* good : {"127.0.0.1:9469", "0.0.0.0:1", "10.1.0.1:65535"})
    EXPECT_TRUE(is_endpoint(good)) << good;
  for (const char* bad : {"", ":", "9469", ":9469", "localhost:9469", "127.0.0.1",
                          "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:1x",
                          "::1:9469", "[::1]", "[::1]:9469", "127.0.0.1:9469,127.0.0.1:9470"})
    EXPECT_FALSE(is_endpoint(bad)) << bad;
}

TEST(Mac, IsThatOfOneHost) {
  for (const char* bad :
       {"", "02:00:00:00:00", "01:00:5e:00:00:01", "02:00:00:00:00:0", "02-00-00-00-00-01",
        "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:0g"}) {
    EXPECT_FALSE(parse_host_mac(bad)) << bad;
  }
}

}  // namespace
}  // namespace penstock
