// ReceivedPackets: which packet numbers have come, and when to say so. The bitmap is that of the
// ACK frame: 256 packets below the largest; what lies further below counts as come, so nothing is
// accepted twice.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "dataplane/wire/ack.h"
#include "dataplane/wire/hop_header.h"

namespace penstock {

class ReceivedPackets {
 public:
  static constexpr uint32_t kAckEvery = 16;

  // `ordered`: a packet that comes out of order is news that the peer waits for.
  explicit ReceivedPackets(bool ordered = true) : ordered_(ordered) {}

  // Where the peer may only have so many packets on the way, an ACK must not wait for too many.
  void allow(uint32_t packets) { every_ = std::clamp<uint32_t>(packets / 4, 1, kAckEvery); }

  bool has(uint64_t packet) const {
    if (packet > largest_) return false;
    const uint64_t below = largest_ - packet;
    if (below == 0 || below > kAckBits) return true;
    return (bits_[(below - 1) / 64] >> ((below - 1) % 64) & 1) != 0;
  }

  // Records a packet that has() did not know. `wants_ack`: the peer waits to hear of it.
  // `waited_ns`: at most so long before it was looked at.
  void add(uint64_t packet, uint64_t now, bool wants_ack, bool at_once, uint64_t waited_ns = 0) {
    const bool in_order = packet == largest_ + 1;
    if (packet > largest_) {
      shift(packet - largest_);
      largest_ = packet;
      largest_at_ = now;
      largest_waited_ = waited_ns;
    } else {
      const uint64_t bit = largest_ - packet - 1;
      bits_[bit / 64] |= uint64_t{1} << (bit % 64);
    }
    if (!wants_ack) return;
    if (unacked_++ == 0) first_at_ = now;
    urgent_ |= at_once || (ordered_ && !in_order) || unacked_ >= every_;
  }

  // When an ACK is due, or never (~0). Urgent: since the first packet that it is for.
  uint64_t ack_at(uint64_t delay_ns) const {
    if (unacked_ == 0) return ~uint64_t{0};
    return urgent_ ? first_at_ : first_at_ + delay_ns;
  }

  // An ACK of all there is.
  Ack ack(uint64_t now) const {
    return {.largest = largest_,
            .delay = ticks(now - largest_at_),
            .bitmap = bits_,
            .waited = ticks(largest_waited_)};
  }
  // It went out.
  void acked() {
    unacked_ = 0;
    urgent_ = false;
  }

  uint64_t largest() const { return largest_; }

 private:
  static uint32_t ticks(uint64_t ns) {
    return static_cast<uint32_t>(std::min<uint64_t>(ns >> kTickShift, UINT32_MAX));
  }

  void shift(uint64_t by) {
    if (by == 1) [[likely]] {
      for (size_t i = 3; i > 0; i--)
        bits_[i] = bits_[i] << 1 | bits_[i - 1] >> 63;
      bits_[0] = bits_[0] << 1 | (largest_ != 0 ? 1 : 0);
      return;
    }
    for (uint64_t words = std::min<uint64_t>(by / 64, 4); words > 0; words--) {
      for (size_t i = 3; i > 0; i--)
        bits_[i] = bits_[i - 1];
      bits_[0] = 0;
    }
    if (const uint64_t rest = by % 64; rest != 0) {
      for (size_t i = 3; i > 0; i--)
        bits_[i] = bits_[i] << rest | bits_[i - 1] >> (64 - rest);
      bits_[0] <<= rest;
    }
    if (largest_ != 0 && by <= kAckBits) {
      bits_[(by - 1) / 64] |= uint64_t{1} << ((by - 1) % 64);
    }
  }

  bool ordered_;
  uint64_t largest_ = 0;
  uint64_t largest_at_ = 0;
  uint64_t largest_waited_ = 0;
  uint64_t first_at_ = 0;  // when the first of `unacked_` came
  uint32_t every_ = kAckEvery;
  uint32_t unacked_ = 0;
  bool urgent_ = false;
  std::array<uint64_t, 4> bits_{};
};

}  // namespace penstock
