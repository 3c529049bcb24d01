// Numbers in network order at any address: how every field of the Internet's headers is read and
// written.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace penstock {

static_assert(std::endian::native == std::endian::little, "these swap bytes");

inline uint8_t load_u8(const std::byte* at) {
  return static_cast<uint8_t>(*at);
}

inline uint16_t load_be16(const std::byte* at) {
  uint16_t v = 0;
  std::memcpy(&v, at, sizeof v);
  return __builtin_bswap16(v);
}

inline uint32_t load_be32(const std::byte* at) {
  uint32_t v = 0;
  std::memcpy(&v, at, sizeof v);
  return __builtin_bswap32(v);
}

inline void store_u8(std::byte* at, uint8_t v) {
  *at = std::byte{v};
}

inline void store_be16(std::byte* at, uint16_t v) {
  v = __builtin_bswap16(v);
  std::memcpy(at, &v, sizeof v);
}

inline void store_be32(std::byte* at, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(at, &v, sizeof v);
}

}  // namespace penstock
