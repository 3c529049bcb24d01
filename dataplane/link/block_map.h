// BlockMap: which 64-byte blocks of a mirror's arena begin a piece that has arrived. One bit a
// block, kept by both ends of a link for messages in pieces; the bits of a message are cleared when
// it is whole, so an arena position stands for itself.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/lane/layout.h"

namespace penstock {

class BlockMap {
 public:
  explicit BlockMap(uint64_t arena_size)
      : mask_(arena_size / kArenaAlign - 1), words_((arena_size / kArenaAlign + 63) / 64) {}

  // Sets the bit of the block at `arena_pos` and returns whether it was set before.
  bool test_and_set(uint64_t arena_pos) {
    const uint64_t block = arena_pos / kArenaAlign & mask_;
    const uint64_t bit = uint64_t{1} << (block % 64);
    const bool was = (words_[block / 64] & bit) != 0;
    words_[block / 64] |= bit;
    return was;
  }

  bool test(uint64_t arena_pos) const {
    const uint64_t block = arena_pos / kArenaAlign & mask_;
    return (words_[block / 64] >> (block % 64) & 1) != 0;
  }

  // Clears the bits of a message's pieces, which start every `piece` bytes from `arena_pos` on.
  void clear(uint64_t arena_pos, uint64_t len, uint64_t piece) {
    for (uint64_t at = 0; at < len; at += piece) {
      const uint64_t block = (arena_pos + at) / kArenaAlign & mask_;
      words_[block / 64] &= ~(uint64_t{1} << (block % 64));
    }
  }

 private:
  uint64_t mask_;
  std::vector<uint64_t> words_;
};

}  // namespace penstock
