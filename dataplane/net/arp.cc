#include "dataplane/net/arp.h"

#include <cstring>

#include "dataplane/net/big_endian.h"
#include "dataplane/net/ethernet.h"

namespace penstock {
namespace {

constexpr size_t kArpSize = 28;
constexpr uint32_t kEthernetIpv4 = 0x00010800;
constexpr uint16_t kLengths = 0x0604;  // of the two kinds of address

}  // namespace

std::optional<Arp> parse_arp(std::span<const std::byte> frame) {
  const auto ethernet = parse_ethernet(frame);
  if (!ethernet || ethernet->type != kTypeArp || frame.size() < kEthernetSize + kArpSize) {
    return std::nullopt;
  }
  const std::byte* p = frame.data() + kEthernetSize;
  const uint16_t op = load_be16(p + 6);
  if (load_be32(p) != kEthernetIpv4 || load_be16(p + 4) != kLengths || op < 1 || op > 2) {
    return std::nullopt;
  }
  const Arp a{static_cast<Arp::Op>(op), MacAddress::load(p + 8), IpAddress::v4(p + 14),
              MacAddress::load(p + 18), IpAddress::v4(p + 24)};
  if (a.from_mac.is_zero() || a.from_mac.is_multicast() || a.from_ip.is_multicast()) {
    return std::nullopt;
  }
  return a;
}

size_t write_arp(const Arp& a, std::span<std::byte> out) {
  if (out.size() < kMinFrame) return 0;
  std::memset(out.data(), 0, kMinFrame);
  const bool request = a.op == Arp::Op::kRequest;
  write_ethernet({request ? kBroadcast : a.to_mac, a.from_mac, kTypeArp}, out);
  std::byte* p = out.data() + kEthernetSize;
  store_be32(p, kEthernetIpv4);
  store_be16(p + 4, kLengths);
  store_be16(p + 6, static_cast<uint16_t>(a.op));
  a.from_mac.store(p + 8);
  a.from_ip.store(p + 14);
  a.to_mac.store(p + 18);
  a.to_ip.store(p + 24);
  return kMinFrame;
}

}  // namespace penstock
