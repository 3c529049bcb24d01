// Resolver: ARP and IPv6 neighbour discovery of one port. Sans-IO: frames and `now` in, frames out.
// Owned by the port's worker. An answer is never larger than its question, and one each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/address.h"
#include "dataplane/net/neighbours.h"

namespace penstock {

class Resolver {
 public:
  static constexpr size_t kMaxFrame = 86;  // room that `out` needs

  explicit Resolver(const Station& us) : us_(us) {}

  // Takes a received frame that decap() called kArp or kNdp. Learns from it, and writes the answer,
  // if it asks for us, to `out`: its size, or 0.
  size_t receive(std::span<const std::byte> frame, uint64_t now, std::span<std::byte> out);

  // Writes the next question that is due to `out`: its size, or 0. Call until 0.
  size_t poll(uint64_t now, std::span<std::byte> out);

  Neighbours& neighbours() { return neighbours_; }
  const Neighbours& neighbours() const { return neighbours_; }

  // Grows whenever a wanted address got a new MAC: time to look them up again.
  uint64_t changes() const { return changes_; }

 private:
  size_t receive_arp(std::span<const std::byte> frame, uint64_t now, std::span<std::byte> out);
  size_t receive_ndp(std::span<const std::byte> frame, uint64_t now, std::span<std::byte> out);
  void learn(const IpAddress& ip, const MacAddress& mac, uint64_t now);

  Station us_;
  Neighbours neighbours_;
  uint64_t changes_ = 0;
};

}  // namespace penstock
