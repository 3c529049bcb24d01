// ARP for IPv4 over Ethernet (RFC 826): who has this address? Whole frames.
//
//    14    16    18  19  20    22              28          32              38          42
//    +-----+-----+---+---+-----+---------------+-----------+---------------+-----------+
//    | 1   |0x800| 6 | 4 | op  | from_mac      | from_ip   | to_mac        | to_ip     |
//    +-----+-----+---+---+-----+---------------+-----------+---------------+-----------+
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/net/address.h"

namespace penstock {

struct Arp {
  enum class Op : uint16_t { kRequest = 1, kReply = 2 };
  Op op = Op::kRequest;
  MacAddress from_mac;
  IpAddress from_ip;
  MacAddress to_mac;  // of a request: 0
  IpAddress to_ip;

  bool operator==(const Arp&) const = default;
};

// The ARP message in an Ethernet frame, or nothing. A sender that is no single host is refused.
std::optional<Arp> parse_arp(std::span<const std::byte> frame);

// Writes a whole frame, a request to everybody and a reply to to_mac. Returns its size, kMinFrame;
// 0 when `out` is too small.
size_t write_arp(const Arp& a, std::span<std::byte> out);

}  // namespace penstock
