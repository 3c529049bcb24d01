// The work that every row does, whoever carries the message: the sender writes every byte, the
// receiver reads a word of every cache line. Both know the message's number, so the reading also
// proves that the right message arrived whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/base/line.h"

namespace penstock::bench {

// Writes all of `len` bytes (a multiple of 8): each word is the message's number.
inline void fill(std::byte* to, size_t len, uint64_t number) {
  for (size_t i = 0; i < len; i += 8) {
    std::memcpy(to + i, &number, 8);
  }
  asm volatile("" : : "r"(to) : "memory");  // the stores happen, whoever reads them
}

// Reads a word of every line; 0 when all of them are `number`. Needs `len` of at least 8.
inline uint64_t check(const std::byte* from, size_t len, uint64_t number) {
  uint64_t wrong = 0;
  for (size_t i = 0; i < len; i += kLine) {
    uint64_t word = 0;
    std::memcpy(&word, from + i, 8);
    wrong |= word ^ number;
  }
  asm volatile("" : "+r"(wrong));  // the loads happen, whether or not anybody looks at the answer
  return wrong;
}

}  // namespace penstock::bench
