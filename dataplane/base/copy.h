// Copying short messages. The compiler makes `rep movs` of a memcpy whose length it doesn't know,
// which takes longer to start than 64 bytes take to copy; a call of libc's costs a few nanoseconds
// too (bench/micro/link_bench: a 64-byte message into a frame 30 -> 22 ns, on a busy machine).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace penstock {

// Copies n bytes, any n; the two don't overlap. Reads and writes nothing beyond them.
inline void copy_short(std::byte* to, const std::byte* from, size_t n) {
  if (n >= 32) [[likely]] {
    if (n > 512) {
      std::memcpy(to, from, n);
      return;
    }
    // Whole blocks, then the last 32 bytes once more, as far as they overlap.
    for (size_t at = 0; at + 32 < n; at += 32)
      __builtin_memcpy(to + at, from + at, 32);
    __builtin_memcpy(to + n - 32, from + n - 32, 32);
    return;
  }
  if (n >= 16) {
    __builtin_memcpy(to, from, 16);
    __builtin_memcpy(to + n - 16, from + n - 16, 16);
  } else if (n >= 8) {
    __builtin_memcpy(to, from, 8);
    __builtin_memcpy(to + n - 8, from + n - 8, 8);
  } else if (n >= 4) {
    __builtin_memcpy(to, from, 4);
    __builtin_memcpy(to + n - 4, from + n - 4, 4);
  } else {
    for (size_t i = 0; i < n; i++)
      to[i] = from[i];
  }
}

}  // namespace penstock
