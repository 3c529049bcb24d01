// Encap and decap, against each other and against headers that others have made.
#include "dataplane/net/encap.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "dataplane/net/decap.h"
#include "tests/dataplane/net/hex.h"

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

const Station kA{{{2, 0, 0, 0, 0, 0xa}}, *parse_ip("10.0.0.1"), *parse_ip("fd00::1")};
const Station kB{{{2, 0, 0, 0, 0, 0xb}}, *parse_ip("10.0.0.2"), *parse_ip("fd00::2")};
constexpr uint16_t kPort = 4791;

Flow flow(bool v4) {
  return {kA.mac, kB.mac, v4 ? kA.v4 : kA.v6, v4 ? kB.v4 : kB.v6, 50000, kPort};
}

// The frame whose first segment carries `first` of the link frame.
Bytes front(Encap& encap, std::span<const std::byte> first, std::span<const std::byte> payload) {
  Bytes out(encap.size() + first.size(), std::byte{0xee});
  std::ranges::copy(first, out.begin() + static_cast<ptrdiff_t>(encap.size()));
  encap.write(out, payload);
  return out;
}

Datagram received(std::span<const std::byte> first, std::span<const std::byte> second = {}) {
  return decap(first, second, kB, kPort, false);
}

Bytes joined(const Datagram& d) {
  Bytes out(d.head.begin(), d.head.end());
  out.insert(out.end(), d.tail.begin(), d.tail.end());
  return out;
}

TEST(Encap, WritesTheHeadersOfTheDocuments) {
  // 127.0.0.1:50000 to 127.0.0.2:4791, "hello", checksums worked out by hand.
  Encap encap({{}, {}, *parse_ip("127.0.0.1"), *parse_ip("127.0.0.2"), 50000, kPort}, {});
  const Bytes hello = hex("68656c6c6f");
  EXPECT_EQ(front(encap, hello, {}), hex("000000000000 000000000000 0800"
                                         "4502 0021 0001 4000 4011 3cc6 7f000001 7f000002"
                                         "c350 12b7 000d e7f6 68656c6c6f"));
}

TEST(Encap, OtherSourcePortsAreOfTheHighRangeAndInTheChecksum) {
  EXPECT_EQ(source_port(kPort, 0), kPort);
  EXPECT_EQ(source_port(65'535, 1), 49'152);
  for (const bool v4 : {true, false}) {
    Encap encap(flow(v4), {});
    Bytes out(encap.size() + 5);
    for (const uint32_t n : {0u, 1u, 16'384u, 65'535u}) {
      encap.write(out, {}, n);
      const Datagram d = received(out);
      ASSERT_EQ(d.arrival, Arrival::kUdp) << n;
      EXPECT_EQ(d.from_port, source_port(50'000, n));
      EXPECT_GE(d.from_port, 49'152);
    }
  }
}

TEST(Encap, CountsItsDatagramsAndNeverLetsThemBeFragmented) {
  Encap encap(flow(true), {});
  for (uint16_t i = 1; i < 5; i++) {
    const Bytes f = front(encap, {}, {});
    const auto ip = parse_ipv4(std::span(f).subspan(kEthernetSize));
    ASSERT_TRUE(ip);
    EXPECT_EQ(ip->id, i);
    EXPECT_EQ(load_be16(&f[20]), 0x4000);
  }
}

// RFC 3168: a queue on the way may set both bits, and in IPv4 mends the checksum.
TEST(Encap, TheNumberOfADatagramWraps) {
  Encap encap(flow(true), {});
  const Bytes hello = hex("68656c6c6f");
  for (uint32_t i = 1; i < 0x10010; i++) {
    const Bytes f = front(encap, hello, {});
    if (i < 0xfff0) continue;
    const auto ip = parse_ipv4(std::span(f).subspan(kEthernetSize));
    ASSERT_TRUE(ip);
    EXPECT_EQ(ip->id, static_cast<uint16_t>(i));
    EXPECT_EQ(received(f).arrival, Arrival::kUdp) << "its checksums, too, at " << i;
  }
}

TEST(Encap, MayBeMarkedOnTheWay) {
  for (const bool v4 : {true, false}) {
    Encap encap(flow(v4), {});
    Bytes f = front(encap, hex("68656c6c6f"), {});
    EXPECT_FALSE(received(f).congested);
    std::byte& field = f[15];
    EXPECT_EQ(std::to_integer<int>(field) >> (v4 ? 0 : 4) & 3, 2);
    field |= std::byte{static_cast<uint8_t>(v4 ? 3 : 0x30)};
    if (v4) store_be16(&f[24], static_cast<uint16_t>(load_be16(&f[24]) - 1));
    const Datagram d = received(f);
    EXPECT_EQ(d.arrival, Arrival::kUdp);
    EXPECT_TRUE(d.congested);
  }
}

TEST(Encap, ComesOutOfDecapAsItWasWhateverTheCut) {
  for (uint64_t seed = 0; seed < 1000; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    Encap encap(flow(seed % 2 == 0), {});
    Bytes link(rng() % 2000);
    for (auto& b : link)
      b = static_cast<std::byte>(rng());
    const size_t cut = rng() % (link.size() + 1);
    const auto payload = std::span(link).subspan(cut);
    const Bytes first = front(encap, std::span(link).first(cut), payload);
    const Datagram d = received(first, payload);
    ASSERT_EQ(d.arrival, Arrival::kUdp);
    EXPECT_EQ(d.from(), flow(seed % 2 == 0).from);
    EXPECT_EQ(d.from_port, 50000);
    EXPECT_EQ(joined(d), link);
    // The same frame in one piece, padded by a device.
    Bytes whole = first;
    whole.insert(whole.end(), payload.begin(), payload.end());
    whole.resize(whole.size() + rng() % 20, std::byte{0x77});
    EXPECT_EQ(joined(received(whole)), link);
  }
}

TEST(Encap, LeavesToTheNicWhatItOffers) {
  for (const bool v4 : {true, false}) {
    Encap soft(flow(v4), {}), hard(flow(v4), {true, true});
    const Bytes link = hex("0102030405");
    const Bytes a = front(soft, link, {});
    Bytes b = front(hard, link, {});
    const size_t udp = soft.size() - kUdpSize;
    if (v4) {
      EXPECT_EQ(load_be16(&b[24]), 0);
      store_be16(&b[24], load_be16(&a[24]));
    }
    // What the device does: sum on from the field over header and data, and store the complement.
    const uint16_t done = InternetSum().add(std::span(b).subspan(udp)).checksum();
    store_be16(&b[udp + 6], done);
    EXPECT_EQ(a, b);
  }
}

TEST(Encap, NeverSaysNotComputed) {
  // A payload that makes the sum 0xffff: its checksum would be 0.
  Encap encap(flow(false), {});
  const Bytes probe = front(encap, hex("0000"), {});
  Bytes link(2);
  std::copy_n(&probe[encap.size() - 2], 2, link.begin());
  const Bytes f = front(encap, link, {});
  EXPECT_EQ(load_be16(&f[encap.size() - 2]), 0xffff);
  EXPECT_EQ(received(f).arrival, Arrival::kUdp);
}

TEST(Encap, TakesANewNextHop) {
  Encap encap(flow(true), {});
  encap.set_next_hop(kBroadcast);
  EXPECT_EQ(MacAddress::load(front(encap, {}, {}).data()), kBroadcast);
}

TEST(Decap, RefusesEveryTruncation) {
  for (const bool v4 : {true, false}) {
    Encap encap(flow(v4), {});
    const Bytes f = front(encap, hex("68656c6c6f"), {});
    for (size_t n = 0; n < f.size(); n++) {
      EXPECT_EQ(received(std::span(f).first(n)).arrival, Arrival::kMalformed) << n;
    }
  }
}

TEST(Decap, SeesEveryFlippedBitOfTheDatagram) {
  for (const bool v4 : {true, false}) {
    Encap encap(flow(v4), {});
    Bytes f = front(encap, hex("68656c6c6f"), {});
    // IPv6 has no checksum of its own over version, class, flow label and hop limit.
    for (size_t bit = (v4 ? 14 : 22) * 8; bit < f.size() * 8; bit++) {
      const auto mask = static_cast<std::byte>(1u << bit % 8);
      f[bit / 8] ^= mask;
      EXPECT_NE(received(f).arrival, Arrival::kUdp) << bit;
      f[bit / 8] ^= mask;
    }
  }
}

TEST(Decap, BelievesTheNic) {
  Encap encap(flow(true), {});
  Bytes f = front(encap, hex("68656c6c6f"), {});
  f.back() ^= std::byte{1};
  EXPECT_EQ(received(f).arrival, Arrival::kChecksum);
  EXPECT_EQ(decap(f, {}, kB, kPort, true).arrival, Arrival::kUdp);
}

TEST(Decap, TakesAMissingChecksumInIpv4Only) {
  for (const bool v4 : {true, false}) {
    Encap encap(flow(v4), {});
    Bytes f = front(encap, hex("68656c6c6f"), {});
    store_be16(&f[encap.size() - 2], 0);
    EXPECT_EQ(received(f).arrival, v4 ? Arrival::kUdp : Arrival::kChecksum);
    EXPECT_EQ(decap(f, {}, kB, kPort, true).arrival, v4 ? Arrival::kUdp : Arrival::kChecksum);
  }
}

// Writes the IPv4 header checksum anew.
void seal_ip(Bytes& f) {
  const size_t len = (load_u8(&f[14]) & 15) * size_t{4};
  store_be16(&f[24], 0);
  store_be16(&f[24], InternetSum().add(std::span(f).subspan(14, len)).checksum());
}

TEST(Decap, TellsWhatIsNotForUs) {
  Encap encap(flow(true), {});
  const Bytes good = front(encap, hex("68656c6c6f"), {});
  ASSERT_EQ(received(good).arrival, Arrival::kUdp);
  EXPECT_EQ(decap(good, {}, kB, kPort + 1, false).arrival, Arrival::kForeign);
  EXPECT_EQ(decap(good, {}, kA, kPort, false).arrival, Arrival::kForeign);
  Bytes f = good;
  f[23] = std::byte{6};  // TCP
  seal_ip(f);
  EXPECT_EQ(received(f).arrival, Arrival::kForeign);
  for (const uint16_t flags : std::array<uint16_t, 3>{0x2000, 0x0001, 0x1fff}) {
    f = good;
    store_be16(&f[20], flags);
    seal_ip(f);
    EXPECT_EQ(received(f).arrival, Arrival::kFragment);
  }
  f = good;
  store_be16(&f[12], 0x8100);
  EXPECT_EQ(received(f).arrival, Arrival::kForeign) << "a VLAN";
  store_be16(&f[12], kTypeArp);
  EXPECT_EQ(received(f).arrival, Arrival::kArp);
}

TEST(Decap, TellsIpv6Apart) {
  Encap encap(flow(false), {});
  const Bytes good = front(encap, hex("88000000000000000000"), {});
  const std::pair<uint8_t, Arrival> kNext[] = {
      {kProtocolFragment, Arrival::kFragment}, {6, Arrival::kForeign}, {0, Arrival::kForeign}};
  for (const auto& [next, arrival] : kNext) {
    Bytes f = good;
    f[20] = std::byte{next};
    EXPECT_EQ(received(f).arrival, arrival) << unsigned{next};
  }
  for (unsigned type = 0; type < 256; type++) {
    Bytes f = good;
    f[20] = std::byte{kProtocolIcmpv6};
    f[54] = static_cast<std::byte>(type);
    EXPECT_EQ(received(f).arrival, type == 135 || type == 136 ? Arrival::kNdp : Arrival::kForeign);
  }
}

TEST(Decap, StepsOverIpv4Options) {
  Encap encap(flow(true), {});
  Bytes f = front(encap, hex("68656c6c6f"), {});
  const Bytes options = hex("01010101 01010100");
  f.insert(f.begin() + 34, options.begin(), options.end());
  f[14] = std::byte{0x47};
  store_be16(&f[16], static_cast<uint16_t>(load_be16(&f[16]) + options.size()));
  seal_ip(f);
  const Datagram d = received(f);
  EXPECT_EQ(d.arrival, Arrival::kUdp);
  EXPECT_EQ(joined(d), hex("68656c6c6f"));
}

TEST(Decap, CutsOffWhatIpCarriesBeyondUdp) {
  Encap encap(flow(true), {});
  Bytes f = front(encap, hex("68656c6c6f"), {});
  f.push_back(std::byte{9});
  store_be16(&f[16], static_cast<uint16_t>(load_be16(&f[16]) + 1));
  seal_ip(f);
  EXPECT_EQ(joined(received(f)), hex("68656c6c6f"));
}

}  // namespace
}  // namespace penstock
