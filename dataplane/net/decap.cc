#include "dataplane/net/decap.h"

#include <algorithm>
#include <cstring>

#include "dataplane/net/ethernet.h"
#include "dataplane/net/ip.h"

namespace penstock {
namespace {

using Bytes = std::span<const std::byte>;

// A UDP datagram of which the IP header is read: it begins at `first`, may go on in `second`, and
// has `len` bytes by that header.
struct UdpIn {
  Bytes first;
  Bytes second;
  size_t len;
  Bytes addresses;  // both, as they stand in the IP header
  bool congested;
};

bool is(const IpAddress& us, const std::byte* at) {
  return us.size() != 0 && std::memcmp(us.bytes.data(), at, us.size()) == 0;
}

Datagram udp(const UdpIn& in, uint16_t port, bool checksum_good) {
  const auto h = parse_udp(in.first.first(std::min(in.first.size(), in.len)));
  if (!h || h->length > in.len) return {Arrival::kMalformed};
  if (h->to != port) return {Arrival::kForeign};
  const Bytes first = in.first.first(std::min<size_t>(in.first.size(), h->length));
  const Bytes second = in.second.first(h->length - first.size());
  const bool v4 = in.addresses.size() == 8;
  if (h->checksum == 0) {
    if (!v4) return {Arrival::kChecksum};
  } else if (!checksum_good) {
    InternetSum sum;
    sum.add(uint64_t{kProtocolUdp} + h->length).add(in.addresses).add(first).add(second);
    if (!sum.good()) return {Arrival::kChecksum};
  }
  return {Arrival::kUdp,           v4,    in.congested, in.addresses.data(), h->from,
          first.subspan(kUdpSize), second};
}

Datagram ipv4(Bytes first, Bytes second, const Station& us, uint16_t port, bool checksum_good) {
  const auto ip = parse_ipv4(first);
  if (!ip || ip->length > first.size() + second.size()) return {Arrival::kMalformed};
  if (ip->fragment) return {Arrival::kFragment};
  const Bytes addresses = first.subspan(kIpv4From, 8);
  if (ip->protocol != kProtocolUdp || !is(us.v4, &addresses[4])) return {Arrival::kForeign};
  const size_t len = size_t{ip->length} - ip->header_len;
  return udp({first.subspan(ip->header_len), second, len, addresses, ip->congested}, port,
             checksum_good);
}

Datagram ipv6(Bytes first, Bytes second, const Station& us, uint16_t port, bool checksum_good) {
  const auto ip = parse_ipv6(first);
  if (!ip) return {Arrival::kMalformed};
  const Bytes addresses = first.subspan(kIpv6From, 32);
  first = first.subspan(kIpv6Size);
  if (ip->length > first.size() + second.size()) return {Arrival::kMalformed};
  if (ip->next == kProtocolFragment) return {Arrival::kFragment};
  if (ip->next == kProtocolIcmpv6) {
    const unsigned type = ip->length == 0 || first.empty() ? 0 : load_u8(first.data());
    return {type == 135 || type == 136 ? Arrival::kNdp : Arrival::kForeign};
  }
  if (ip->next != kProtocolUdp || !is(us.v6, &addresses[16])) return {Arrival::kForeign};
  return udp({first, second, ip->length, addresses, ip->congested}, port, checksum_good);
}

}  // namespace

Datagram decap(Bytes first, Bytes second, const Station& us, uint16_t port,
               bool udp_checksum_good) {
  if (first.size() < kEthernetSize) return {Arrival::kMalformed};
  const uint16_t type = load_be16(&first[12]);
  first = first.subspan(kEthernetSize);
  if (type == kTypeIpv4) return ipv4(first, second, us, port, udp_checksum_good);
  if (type == kTypeIpv6) return ipv6(first, second, us, port, udp_checksum_good);
  return {type == kTypeArp ? Arrival::kArp : Arrival::kForeign};
}

}  // namespace penstock
