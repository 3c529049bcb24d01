// decap: what a received frame is, and where the link frame in it lies. Trusts nothing in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/address.h"

namespace penstock {

enum class Arrival : uint8_t {
  kUdp,        // a datagram for us
  kArp,        // for the resolver, which looks at it closely
  kNdp,        // for the resolver: a neighbour solicitation or advertisement
  kForeign,    // not for us: another protocol, address or port
  kFragment,   // a piece of an IP datagram: nobody who speaks to us sends these
  kMalformed,  // cut short, or its lengths make no sense, or the IPv4 header checksum is wrong
  kChecksum,   // the UDP checksum is wrong, or missing in IPv6
};

// Of all but kUdp only `arrival` means anything. Refers to the frame that it was found in.
struct Datagram {
  Arrival arrival = Arrival::kMalformed;
  bool v4 = false;
  bool congested = false;                // marked by a queue on the way
  const std::byte* addresses = nullptr;  // in the IP header: the sender's, then ours
  uint16_t from_port = 0;
  std::span<const std::byte> head = {};  // the datagram's payload: in the first segment,
  std::span<const std::byte> tail = {};  // and what of it lies in the second

  IpAddress from() const { return v4 ? IpAddress::v4(addresses) : IpAddress::v6(addresses); }
};

// Looks at a frame that came in one or two segments; all headers are in the first. Padding behind
// the datagram is cut off. `udp_checksum_good`: the NIC has checked it, don't again.
Datagram decap(std::span<const std::byte> first, std::span<const std::byte> second,
               const Station& us, uint16_t port, bool udp_checksum_good);

}  // namespace penstock
