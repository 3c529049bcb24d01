// Messages that prove themselves: size and bytes follow from the position, so a message that is
// partial, late, early or somebody else's is noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace penstock {

constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15;
  return x ^ (x >> 29);
}

constexpr uint64_t pattern_size(uint64_t position, uint64_t most) {
  const uint64_t x = mix(position);
  return (x % 16 == 0 ? x % most : x % 200) & ~uint64_t{7};
}

inline void pattern_write(std::byte* to, uint64_t len, uint64_t position) {
  for (uint64_t i = 0; i < len; i += 8) {
    const uint64_t word = mix(position) + i;
    std::memcpy(to + i, &word, 8);
  }
}

inline bool pattern_whole(std::span<const std::byte> bytes, uint64_t position, uint64_t most) {
  if (bytes.size() != pattern_size(position, most)) return false;
  for (uint64_t i = 0; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    if (word != mix(position) + i) return false;
  }
  return true;
}

}  // namespace penstock
