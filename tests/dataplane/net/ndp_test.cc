#include "dataplane/net/ndp.h"

#include <gtest/gtest.h>

#include "dataplane/net/big_endian.h"
#include "dataplane/net/ip.h"
#include "tests/dataplane/net/hex.h"

namespace penstock {
namespace {

const MacAddress kUs{{2, 0, 0, 0, 0, 1}};
const IpAddress kOurIp = *parse_ip("fd00::1");
const IpAddress kTheirIp = *parse_ip("fd00::a2:b3c4");

// A solicitation for kTheirIp by kOurIp: Ethernet, IPv6, its two addresses, ICMPv6.
const char kSolicitation[] =
    "3333ffa2b3c402000000000186dd"
    "6000000000203aff"
    "fd000000000000000000000000000001"
    "ff0200000000000000000001ffa2b3c4"
    "870014ce00000000fd000000000000000000000000a2b3c40101020000000001";

Ndp solicitation() {
  return {Ndp::Kind::kSolicitation, false, kOurIp, solicited_node(kTheirIp), kTheirIp, kUs};
}

std::vector<std::byte> written(const Ndp& n) {
  std::vector<std::byte> out(kNdpFrame, std::byte{0xee});
  EXPECT_EQ(write_ndp(n, multicast_mac(n.to), out), kNdpFrame);
  return out;
}

// Makes the ICMPv6 checksum right again after a change.
void seal(std::vector<std::byte>& frame) {
  const auto message = std::span(frame).subspan(54);
  store_be16(&message[2], 0);
  const auto sum = pseudo_header(IpAddress::v6(&frame[22]), IpAddress::v6(&frame[38]),
                                 kProtocolIcmpv6, load_be16(&frame[18]))
                       .add(message)
                       .checksum();
  store_be16(&message[2], sum);
}

TEST(Ndp, WritesAndReadsASolicitation) {
  const auto frame = hex(kSolicitation);
  EXPECT_EQ(parse_ndp(frame), solicitation());
  EXPECT_EQ(written(solicitation()), frame);
}

TEST(Ndp, WritesAndReadsAnAdvertisement) {
  const Ndp n{Ndp::Kind::kAdvertisement, true, kTheirIp, kOurIp, kTheirIp, kUs};
  const auto frame = written(n);
  EXPECT_EQ(parse_ndp(frame), n);
  EXPECT_EQ(load_u8(&frame[58]), 0x60) << "solicited, override";
}

TEST(Ndp, NamesTheGroupsOfAnAddress) {
  EXPECT_EQ(solicited_node(kTheirIp), parse_ip("ff02::1:ffa2:b3c4"));
  EXPECT_EQ(multicast_mac(solicited_node(kTheirIp)), parse_mac("33:33:ff:a2:b3:c4"));
  EXPECT_EQ(all_nodes(), parse_ip("ff02::1"));
}

TEST(Ndp, RefusesEveryTruncationAndFlippedBit) {
  auto frame = hex(kSolicitation);
  for (size_t n = 0; n < frame.size(); n++)
    EXPECT_FALSE(parse_ndp(std::span(frame).first(n))) << n;
  for (size_t bit = 54 * 8; bit < frame.size() * 8; bit++) {
    const auto mask = static_cast<std::byte>(1u << bit % 8);
    frame[bit / 8] ^= mask;
    EXPECT_FALSE(parse_ndp(frame)) << bit;
    frame[bit / 8] ^= mask;
  }
}

TEST(Ndp, RefusesWhatHasPassedARouter) {
  auto frame = hex(kSolicitation);
  frame[21] = std::byte{254};
  EXPECT_FALSE(parse_ndp(frame));
}

TEST(Ndp, RefusesWhatMakesNoSense) {
  const struct {
    size_t at;
    uint8_t value;
  } kBad[] = {{54, 128}, {55, 1}, {62, 0xff}, {79, 0}, {79, 2}, {80, 1}, {22, 0xff}};
  for (const auto& bad : kBad) {
    auto frame = hex(kSolicitation);
    frame[bad.at] = std::byte{bad.value};
    seal(frame);
    EXPECT_FALSE(parse_ndp(frame)) << bad.at;
  }
  Ndp n{Ndp::Kind::kAdvertisement, true, kTheirIp, all_nodes(), kTheirIp, kUs};
  EXPECT_FALSE(parse_ndp(written(n))) << "an answer to everybody";
  n = solicitation();
  n.from = *parse_ip("::");
  EXPECT_FALSE(parse_ndp(written(n))) << "an address of one who has none";
}

TEST(Ndp, DoesWithoutTheOption) {
  auto frame = hex(kSolicitation);
  frame[78] = std::byte{14};  // some other option
  seal(frame);
  const auto n = parse_ndp(frame);
  ASSERT_TRUE(n);
  EXPECT_TRUE(n->mac.is_zero());
  frame.resize(78);
  store_be16(&frame[18], 24);
  seal(frame);
  EXPECT_EQ(parse_ndp(frame), n);
}

}  // namespace
}  // namespace penstock
