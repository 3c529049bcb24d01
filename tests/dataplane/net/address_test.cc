#include "dataplane/net/address.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(MacAddress, ReadsAndWritesItsText) {
  const auto mac = parse_mac("02:00:5E:10:00:fF");
  ASSERT_TRUE(mac);
  EXPECT_EQ(format(*mac), "02:00:5e:10:00:ff");
  EXPECT_FALSE(mac->is_multicast() || mac->is_zero());
  EXPECT_TRUE(kBroadcast.is_multicast());
  EXPECT_TRUE(parse_mac("00:00:00:00:00:00")->is_zero());
}

TEST(MacAddress, RefusesOtherText) {
  for (const char* bad : {"", "02:00:5e:10:00", "02:00:5e:10:00:f", "02:00:5e:10:00:ff:",
                          "02-00-5e-10-00-ff", "02:00:5e:10:00:fg", "2:00:5e:10:00:ff0"}) {
    EXPECT_FALSE(parse_mac(bad)) << bad;
  }
}

TEST(IpAddress, ReadsAndWritesItsText) {
  for (const char* good : {"10.0.0.1", "255.255.255.255", "fd00::1", "::", "fe80::1:2:3:4"}) {
    const auto ip = parse_ip(good);
    ASSERT_TRUE(ip) << good;
    EXPECT_EQ(format(*ip), good);
    std::array<std::byte, 16> bytes{};
    ip->store(bytes.data());
    EXPECT_EQ(ip->is_v4() ? IpAddress::v4(bytes.data()) : IpAddress::v6(bytes.data()), *ip);
  }
  EXPECT_EQ(format(IpAddress{}), "none");
}

TEST(IpAddress, RefusesOtherText) {
  using namespace std::string_view_literals;
  for (const auto bad : {""sv, "10.0.0"sv, "10.0.0.256"sv, "10.0.0.1/24"sv, " 10.0.0.1"sv,
                         "fd00::1%eth0"sv, "host"sv, "10.0.0.1\0"sv, ":::"sv}) {
    EXPECT_FALSE(parse_ip(bad)) << bad;
  }
}

TEST(IpAddress, KnowsGroupsFromHosts) {
  for (const char* group : {"224.0.0.1", "239.1.2.3", "255.255.255.255", "ff02::1"}) {
    EXPECT_TRUE(parse_ip(group)->is_multicast()) << group;
  }
  for (const char* host : {"10.0.0.1", "223.255.255.255", "::1", "fe80::1"}) {
    EXPECT_FALSE(parse_ip(host)->is_multicast()) << host;
  }
  EXPECT_TRUE(parse_ip("0.0.0.0")->is_unspecified());
  EXPECT_FALSE(parse_ip("::1")->is_unspecified());
}

}  // namespace
}  // namespace penstock
