// IPv4 and IPv6 headers, as far as a datagram of ours has them, and UDP's.
//
//    IPv4  0     1     2           4           6           8     9     10          12    16    20
//          +-----+-----+-----------+-----------+-----------+-----+-----+-----------+-----+-----+
//          |v|ihl|tos  | length    | id        |flags, frag|ttl  |proto| checksum  |from | to  |
//          +-----+-----+-----------+-----------+-----------+-----+-----+-----------+-----+-----+
//    IPv6  0                       4           6     7     8                 24                40
//          +-----------------------+-----------+-----+-----+-----------------+-----------------+
//          |v| class | flow label  | length    |next |hops | from            | to              |
//          +-----------------------+-----------+-----+-----+-----------------+-----------------+
//    UDP   0           2           4           6           8
//          +-----------+-----------+-----------+-----------+
//          | from      | to        | length    | checksum  |
//          +-----------+-----------+-----------+-----------+
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/net/address.h"
#include "dataplane/net/big_endian.h"
#include "dataplane/net/checksum.h"

namespace penstock {

inline constexpr size_t kIpv4Size = 20;  // without options
inline constexpr size_t kIpv6Size = 40;
inline constexpr size_t kIpv4From =
    12;  // where the addresses stand: the sender's, then the receiver's
inline constexpr size_t kIpv6From = 8;
inline constexpr size_t kUdpSize = 8;
inline constexpr uint8_t kHopLimit = 64;

enum : uint8_t { kProtocolUdp = 17, kProtocolIcmpv6 = 58, kProtocolFragment = 44 };

// The sum that UDP and ICMPv6 checksums begin with: the addresses, the protocol, the length.
inline InternetSum pseudo_header(const IpAddress& from, const IpAddress& to, uint8_t protocol,
                                 uint32_t length) {
  InternetSum sum;
  sum.add(std::as_bytes(std::span(from.bytes)));
  sum.add(std::as_bytes(std::span(to.bytes)));
  sum.add(uint64_t{protocol} + length);
  return sum;
}

struct Ipv4Header {
  uint16_t header_len = kIpv4Size;  // bytes, options included
  uint16_t length = 0;              // of the datagram, this header included
  uint16_t id = 0;
  bool fragment = false;   // a piece of a datagram
  bool congested = false;  // ECN (RFC 3168): a queue on the way was long
  uint8_t protocol = kProtocolUdp;
};

// The header at the front of `bytes`; nothing when it is cut short, makes no sense or its checksum
// is wrong. `length` may be more than there is: see the caller's frame. The addresses stay where
// they are, see below: copying them for each frame costs more than all the rest.
inline std::optional<Ipv4Header> parse_ipv4(std::span<const std::byte> bytes) {
  if (bytes.size() < kIpv4Size || load_u8(bytes.data()) >> 4 != 4) return std::nullopt;
  const std::byte* p = bytes.data();
  Ipv4Header h;
  h.header_len = static_cast<uint16_t>((load_u8(p) & 15) * 4);
  h.length = load_be16(p + 2);
  if (h.header_len < kIpv4Size || h.header_len > bytes.size() || h.length < h.header_len ||
      !InternetSum().add(bytes.first(h.header_len)).good()) {
    return std::nullopt;
  }
  h.id = load_be16(p + 4);
  h.fragment = (load_be16(p + 6) & 0x3fff) != 0;  // more to come, or not the first
  h.protocol = load_u8(p + 9);
  h.congested = (load_u8(p + 1) & 3) == 3;
  return h;
}

inline IpAddress ipv4_from(std::span<const std::byte> header) {
  return IpAddress::v4(&header[kIpv4From]);
}
inline IpAddress ipv4_to(std::span<const std::byte> header) {
  return IpAddress::v4(&header[kIpv4From + 4]);
}

// Writes a header without options to the first kIpv4Size bytes of `out`: don't fragment, checksum
// filled in.
inline void write_ipv4(const Ipv4Header& h, const IpAddress& from, const IpAddress& to,
                       std::span<std::byte> out) {
  std::byte* p = out.data();
  store_be16(p, 0x4500);
  store_be16(p + 2, h.length);
  store_be16(p + 4, h.id);
  store_be16(p + 6, 0x4000);
  store_u8(p + 8, kHopLimit);
  store_u8(p + 9, h.protocol);
  store_be16(p + 10, 0);
  from.store(p + kIpv4From);
  to.store(p + kIpv4From + 4);
  store_be16(p + 10, InternetSum().add(out.first(kIpv4Size)).checksum());
}

struct Ipv6Header {
  uint16_t length = 0;  // of what follows this header
  uint8_t next = kProtocolUdp;
  uint8_t hops = kHopLimit;
  bool congested = false;  // as in IPv4
};

inline std::optional<Ipv6Header> parse_ipv6(std::span<const std::byte> bytes) {
  if (bytes.size() < kIpv6Size || load_u8(bytes.data()) >> 4 != 6) return std::nullopt;
  const std::byte* p = bytes.data();
  return Ipv6Header{load_be16(p + 4), load_u8(p + 6), load_u8(p + 7), (load_be16(p) >> 4 & 3) == 3};
}

inline IpAddress ipv6_from(std::span<const std::byte> header) {
  return IpAddress::v6(&header[kIpv6From]);
}
inline IpAddress ipv6_to(std::span<const std::byte> header) {
  return IpAddress::v6(&header[kIpv6From + 16]);
}

inline void write_ipv6(const Ipv6Header& h, const IpAddress& from, const IpAddress& to,
                       std::span<std::byte> out) {
  std::byte* p = out.data();
  store_be32(p, 0x60000000);
  store_be16(p + 4, h.length);
  store_u8(p + 6, h.next);
  store_u8(p + 7, h.hops);
  from.store(p + kIpv6From);
  to.store(p + kIpv6From + 16);
}

struct UdpHeader {
  uint16_t from = 0;
  uint16_t to = 0;
  uint16_t length = 0;    // this header included
  uint16_t checksum = 0;  // 0: not computed
};

inline std::optional<UdpHeader> parse_udp(std::span<const std::byte> bytes) {
  if (bytes.size() < kUdpSize) return std::nullopt;
  const std::byte* p = bytes.data();
  const UdpHeader h{load_be16(p), load_be16(p + 2), load_be16(p + 4), load_be16(p + 6)};
  if (h.length < kUdpSize) return std::nullopt;
  return h;
}

inline void write_udp(const UdpHeader& h, std::span<std::byte> out) {
  std::byte* p = out.data();
  store_be16(p, h.from);
  store_be16(p + 2, h.to);
  store_be16(p + 4, h.length);
  store_be16(p + 6, h.checksum);
}

}  // namespace penstock
