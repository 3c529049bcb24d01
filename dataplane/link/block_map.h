// BlockMap: which 64-byte blocks of a mirror's arena have arrived, of messages that come in pieces.
// One bit a block, kept by both ends of a link; the bits of a message are cleared when it is whole,
// so an arena position stands for itself. A range begins at a block, lies within one message and so
// never wraps; its last block may be cut short.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "dataplane/lane/layout.h"

namespace penstock {

class BlockMap {
 public:
  explicit BlockMap(uint64_t arena_size)
      : mask_(arena_size / kArenaAlign - 1), words_((arena_size / kArenaAlign + 63) / 64) {}

  static constexpr uint64_t blocks(uint64_t bytes) {
    return (bytes + kArenaAlign - 1) / kArenaAlign;
  }

  // How many blocks of the range have arrived.
  uint64_t count(uint64_t arena_pos, uint64_t len) const {
    uint64_t n = 0;
    each_word(arena_pos, len, [&](uint64_t word, uint64_t bits) {
      n += static_cast<uint64_t>(std::popcount(words_[word] & bits));
    });
    return n;
  }
  bool all(uint64_t arena_pos, uint64_t len) const { return count(arena_pos, len) == blocks(len); }

  // How many of its first blocks have arrived, before one that has not.
  uint64_t run(uint64_t arena_pos, uint64_t len) const { return alike(arena_pos, len, 0); }
  // How many of its first blocks have not, before one that has.
  uint64_t gap(uint64_t arena_pos, uint64_t len) const {
    return alike(arena_pos, len, ~uint64_t{0});
  }

  // They have. Returns how many of them had not before.
  uint64_t set(uint64_t arena_pos, uint64_t len) {
    uint64_t n = 0;
    each_word(arena_pos, len, [&](uint64_t word, uint64_t bits) {
      n += static_cast<uint64_t>(std::popcount(~words_[word] & bits));
      words_[word] |= bits;
    });
    return n;
  }

  // The usual case of set(): they have, and none had before. False: some had; nothing is changed.
  bool claim(uint64_t arena_pos, uint64_t len) {
    const uint64_t block = arena_pos / kArenaAlign & mask_;
    const uint64_t first = block % 64;
    const uint64_t n = blocks(len);
    if (first + n <= 64 && n != 0) {
      uint64_t& word = words_[block / 64];
      const uint64_t bits = ~uint64_t{0} >> (64 - n) << first;
      if ((word & bits) != 0) return false;
      word |= bits;
      return true;
    }
    uint64_t had = 0;
    each_word(arena_pos, len, [&](uint64_t word, uint64_t bits) { had |= words_[word] & bits; });
    if (had != 0) return false;
    each_word(arena_pos, len, [&](uint64_t word, uint64_t bits) { words_[word] |= bits; });
    return true;
  }

  void clear(uint64_t arena_pos, uint64_t len) {
    each_word(arena_pos, len, [&](uint64_t word, uint64_t bits) { words_[word] &= ~bits; });
  }

 private:
  // How many of its first blocks have another bit than those of `end`, which are all alike.
  uint64_t alike(uint64_t arena_pos, uint64_t len, uint64_t end) const {
    uint64_t n = 0;
    bool all = true;
    each_word(arena_pos, len, [&](uint64_t word, uint64_t bits) {
      if (!all) return;
      const uint64_t other = (~words_[word] ^ end) & bits;
      all = other == 0;
      const uint64_t before = all ? bits : bits & ((other & (~other + 1)) - 1);
      n += static_cast<uint64_t>(std::popcount(before));
    });
    return n;
  }

  template <class F>
  void each_word(uint64_t arena_pos, uint64_t len, F&& f) const {
    uint64_t block = arena_pos / kArenaAlign & mask_;
    for (const uint64_t end = block + blocks(len); block < end;) {
      const uint64_t first = block % 64;
      const uint64_t n = std::min(64 - first, end - block);
      f(block / 64, ~uint64_t{0} >> (64 - n) << first);
      block += n;
    }
  }

  uint64_t mask_;
  std::vector<uint64_t> words_;
};

}  // namespace penstock
