// IPv6 neighbour discovery (RFC 4861), the two messages that find a neighbour. Whole frames:
// Ethernet, IPv6 with a hop limit of 255 (so it has not passed a router), ICMPv6:
//
//    54    55    56          58          60                   62                        78
//    +-----+-----+-----------+-----------+--------------------+-------------------------+
//    |type |0    | checksum  |flags, 0                        | target                  | options
//    +-----+-----+-----------+-----------+--------------------+-------------------------+
//
// The one option looked at: 1 (source, in a solicitation) or 2 (target, in an advertisement), the
// MAC address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/net/address.h"

namespace penstock {

inline constexpr size_t kNdpFrame = 14 + 40 + 32;  // of what write_ndp writes

struct Ndp {
  enum class Kind : uint8_t { kSolicitation = 135, kAdvertisement = 136 };
  Kind kind = Kind::kSolicitation;
  bool solicited = false;  // an advertisement that answers
  IpAddress from;          // unspecified: somebody checks whether an address is free
  IpAddress to;
  IpAddress target;
  MacAddress mac;  // the option's; zero when it has none

  bool operator==(const Ndp&) const = default;
};

// The message in an Ethernet frame, or nothing: something else, cut short, from beyond a router, or
// with a bad checksum.
std::optional<Ndp> parse_ndp(std::span<const std::byte> frame);

// Writes a whole frame from `mac` to `to_mac`; an advertisement overrides what was known. Returns
// its size, kNdpFrame; 0 when `out` is too small.
size_t write_ndp(const Ndp& n, const MacAddress& to_mac, std::span<std::byte> out);

// The group that a solicitation for `target` goes to, and a group's Ethernet address.
IpAddress solicited_node(const IpAddress& target);
IpAddress all_nodes();
MacAddress multicast_mac(const IpAddress& group);

}  // namespace penstock
