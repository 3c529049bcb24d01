// ImmCounter: which chunks of each expected transfer have landed, by their immediates. One for each
// peer, so that a peer reaches its own transfers only; owned by the worker that polls.
//
//   expect(slot, chunks) ──▶ count(imm) ... kCounted ... kDone ──▶ the slot is free again
//
// It keeps a bit a chunk and not just a number: after an error the receiver says which are there,
// the rest is sent again, and a chunk that comes twice must not stand for one that is missing.
#pragma once

#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "rdma/fabric.h"

namespace penstock {

class ImmCounter {
 public:
  enum class Outcome : uint8_t {
    kCounted,
    kDone,       // it was the last one: all bytes of the transfer are in place
    kDuplicate,  // this chunk had landed
    kUnknown,    // no such transfer, or no such chunk of it: the peer is wrong
  };

  // Room for `slots` transfers at once, at most kImmSlots, of `max_chunks` each.
  ImmCounter(uint32_t slots, uint32_t max_chunks)
      : max_chunks_(max_chunks),
        words_((max_chunks + 63) / 64),
        slots_(slots),
        bits_(size_t{slots} * words_) {
    assert(slots <= kImmSlots && max_chunks <= kImmChunks);
  }

  // Before the peer may send the first of them. kBusy: the slot still expects some. kTooBig: more
  // than max_chunks. kInvalid: no such slot, or no chunk.
  [[nodiscard]] Errc expect(uint32_t slot, uint32_t chunks);

  Outcome count(uint32_t imm) {
    const uint32_t slot = imm_slot(imm);
    const uint32_t chunk = imm_chunk(imm);
    if (slot >= slots_.size() || chunk >= slots_[slot].expected) return Outcome::kUnknown;
    uint64_t& word = bits(slot)[chunk / 64];
    const uint64_t bit = uint64_t{1} << chunk % 64;
    if ((word & bit) != 0) return Outcome::kDuplicate;
    word |= bit;
    if (++slots_[slot].landed != slots_[slot].expected) return Outcome::kCounted;
    slots_[slot].expected = 0;
    return Outcome::kDone;
  }

  // Expects nothing more there. Only once its endpoints were stopped and all they brought was
  // polled: or a late chunk would count for the slot's next transfer.
  void forget(uint32_t slot) { slots_[slot].expected = 0; }

  // Chunks still expected, 0: none, or all have come.
  uint32_t missing(uint32_t slot) const {
    return slots_[slot].expected == 0 ? 0 : slots_[slot].expected - slots_[slot].landed;
  }
  // Bit i of word w: chunk 64 w + i has landed. What the sender is told after an error.
  std::span<const uint64_t> landed(uint32_t slot) const {
    return {bits_.data() + size_t{slot} * words_, words_};
  }

 private:
  struct Slot {
    uint32_t expected = 0;  // 0: the slot is free
    uint32_t landed = 0;
  };

  std::span<uint64_t> bits(uint32_t slot) { return {bits_.data() + size_t{slot} * words_, words_}; }

  uint32_t max_chunks_;
  size_t words_;
  std::vector<Slot> slots_;
  std::vector<uint64_t> bits_;
};

}  // namespace penstock
