// Encap: the Ethernet, IP and UDP headers in front of the frames of one path. Made once; a frame
// costs a copy of the template and the few numbers that differ. Owned by the worker of the path.
//
//     [ Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8 ][ link frame ... ] [ payload, elsewhere ]
//     |<--------------- size() ----------------->|
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/address.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/ip.h"

namespace penstock {

// Both ends of a path. The addresses are of one family.
struct Flow {
  MacAddress from_mac;
  MacAddress to_mac;  // of the next hop
  IpAddress from;
  IpAddress to;
  uint16_t from_port = 0;
  uint16_t to_port = 0;
};

// What the NIC fills in, and write() then doesn't.
struct ChecksumOffload {
  bool ip = false;
  bool udp = false;
};

// The n-th source port of who has `first`: it tells networks that choose a way by ports (ECMP) that
// this flow may take another one.
constexpr uint16_t source_port(uint16_t first, uint32_t n) {
  return n == 0 ? first : static_cast<uint16_t>(49152 + (first + n) % 16384);
}

class Encap {
 public:
  static constexpr size_t kMaxSize = kEthernetSize + kIpv6Size + kUdpSize;

  Encap() = default;  // of no path: size() is 0, write() may not be called
  Encap(const Flow& flow, ChecksumOffload offload);

  void set_next_hop(const MacAddress& mac) { mac.store(template_.data()); }

  // Bytes in front of the link frame: 42 or 62.
  size_t size() const { return size_; }
  uint16_t l2_len() const { return kEthernetSize; }
  uint16_t l3_len() const { return static_cast<uint16_t>(size_ - kEthernetSize - kUdpSize); }

  // Writes the headers to the first size() bytes of `frame`; the link frame stands behind them and
  // goes on in `payload`. Last of all: the UDP checksum covers every byte. The whole link frame is
  // at most 65,507 bytes.
  // `source_port`: the flow's own (0) or another one, source_port().
  void write(std::span<std::byte> frame, std::span<const std::byte> payload,
             uint32_t source_port = 0);

 private:
  std::array<std::byte, kMaxSize> template_{};
  size_t size_ = 0;
  bool v4_ = false;
  ChecksumOffload offload_;
  uint16_t id_ = 0;
  uint16_t ip_sum_ = 0;      // of the IPv4 header but length, id and checksum
  uint16_t pseudo_sum_ = 0;  // of the addresses and the protocol
  uint16_t udp_sum_ = 0;     // pseudo_sum_ and the destination's port
  uint16_t from_port_ = 0;
};

}  // namespace penstock
