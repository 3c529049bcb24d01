// The Ethernet header.
//
//    0                       6                       12    14
//    +-----------------------+-----------------------+-----+
//    | to                    | from                  |type |
//    +-----------------------+-----------------------+-----+
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/net/address.h"
#include "dataplane/net/big_endian.h"

namespace penstock {

inline constexpr size_t kEthernetSize = 14;
inline constexpr size_t kMinFrame = 60;  // shorter ones are padded, its check sequence not counted

enum : uint16_t { kTypeIpv4 = 0x0800, kTypeArp = 0x0806, kTypeIpv6 = 0x86dd };

struct EthernetHeader {
  MacAddress to;
  MacAddress from;
  uint16_t type = 0;

  bool operator==(const EthernetHeader&) const = default;
};

inline std::optional<EthernetHeader> parse_ethernet(std::span<const std::byte> frame) {
  if (frame.size() < kEthernetSize) return std::nullopt;
  const std::byte* p = frame.data();
  return EthernetHeader{MacAddress::load(p), MacAddress::load(p + 6), load_be16(p + 12)};
}

// Writes to the first kEthernetSize bytes of `out`, which has room for them.
inline void write_ethernet(const EthernetHeader& h, std::span<std::byte> out) {
  h.to.store(out.data());
  h.from.store(out.data() + 6);
  store_be16(out.data() + 12, h.type);
}

}  // namespace penstock
