#include "dataplane/net/ndp.h"

#include <algorithm>
#include <cstring>

#include "dataplane/net/big_endian.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/ip.h"

namespace penstock {
namespace {

constexpr uint8_t kMaxHops = 255;
constexpr size_t kFixed = 24;  // of the ICMPv6 message, before the options
constexpr size_t kOption = 8;
constexpr uint32_t kSolicited = 1u << 30;
constexpr uint32_t kOverride = 1u << 29;

constexpr uint8_t option_of(Ndp::Kind kind) {
  return kind == Ndp::Kind::kSolicitation ? 1 : 2;
}

// The MAC address among the options: zero when there is none, nothing when they are not well
// formed.
std::optional<MacAddress> find_mac(std::span<const std::byte> options, uint8_t type) {
  MacAddress found;
  while (!options.empty()) {
    const size_t size = options.size() < 2 ? 0 : load_u8(&options[1]) * size_t{8};
    if (size == 0 || size > options.size()) return std::nullopt;
    if (load_u8(&options[0]) == type && size == kOption) found = MacAddress::load(&options[2]);
    options = options.subspan(size);
  }
  return found;
}

// What RFC 4861, 7.1.1 and 7.1.2 ask of a message beyond its layout.
bool makes_sense(const Ndp& n) {
  if (n.target.is_multicast() || n.from.is_multicast() || n.mac.is_multicast()) return false;
  if (n.kind == Ndp::Kind::kAdvertisement) return !(n.to.is_multicast() && n.solicited);
  return !n.from.is_unspecified() || n.mac.is_zero();
}

}  // namespace

std::optional<Ndp> parse_ndp(std::span<const std::byte> frame) {
  const auto ethernet = parse_ethernet(frame);
  if (!ethernet || ethernet->type != kTypeIpv6) return std::nullopt;
  const auto packet = frame.subspan(kEthernetSize);
  const auto ip = parse_ipv6(packet);
  if (!ip || ip->next != kProtocolIcmpv6 || ip->hops != kMaxHops || ip->length < kFixed ||
      ip->length > packet.size() - kIpv6Size) {
    return std::nullopt;
  }
  const IpAddress from = ipv6_from(packet);
  const IpAddress to = ipv6_to(packet);
  const auto message = packet.subspan(kIpv6Size, ip->length);
  const std::byte* p = message.data();
  const uint8_t type = load_u8(p);
  if ((type != 135 && type != 136) || load_u8(p + 1) != 0 ||
      !pseudo_header(from, to, kProtocolIcmpv6, ip->length).add(message).good()) {
    return std::nullopt;
  }
  const auto kind = static_cast<Ndp::Kind>(type);
  const auto mac = find_mac(message.subspan(kFixed), option_of(kind));
  if (!mac) return std::nullopt;
  const bool answer = kind == Ndp::Kind::kAdvertisement;
  const uint32_t flags = answer ? load_be32(p + 4) : 0;
  const Ndp n{kind, (flags & kSolicited) != 0, from, to, IpAddress::v6(p + 8), *mac};
  if (!makes_sense(n)) return std::nullopt;
  return n;
}

size_t write_ndp(const Ndp& n, const MacAddress& to_mac, std::span<std::byte> out) {
  if (out.size() < kNdpFrame) return 0;
  out = out.first(kNdpFrame);
  write_ethernet({to_mac, n.mac, kTypeIpv6}, out);
  write_ipv6({kFixed + kOption, kProtocolIcmpv6, kMaxHops}, n.from, n.to,
             out.subspan(kEthernetSize));
  const auto message = out.subspan(kEthernetSize + kIpv6Size);
  std::byte* p = message.data();
  std::memset(p, 0, message.size());
  store_u8(p, static_cast<uint8_t>(n.kind));
  if (n.kind == Ndp::Kind::kAdvertisement) {
    store_be32(p + 4, kOverride | (n.solicited ? kSolicited : 0));
  }
  n.target.store(p + 8);
  store_u8(p + kFixed, option_of(n.kind));
  store_u8(p + kFixed + 1, kOption / 8);
  n.mac.store(p + kFixed + 2);
  store_be16(
      p + 2,
      pseudo_header(n.from, n.to, kProtocolIcmpv6, kFixed + kOption).add(message).checksum());
  return kNdpFrame;
}

IpAddress solicited_node(const IpAddress& target) {
  IpAddress g{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}, IpAddress::Family::kV6};
  std::copy(target.bytes.end() - 3, target.bytes.end(), g.bytes.end() - 3);
  return g;
}

IpAddress all_nodes() {
  return {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, IpAddress::Family::kV6};
}

MacAddress multicast_mac(const IpAddress& group) {
  MacAddress m{{0x33, 0x33}};
  std::copy(group.bytes.end() - 4, group.bytes.end(), m.bytes.end() - 4);
  return m;
}

}  // namespace penstock
