// SentPackets: packets that the peer has to acknowledge, oldest first, and which of them are lost:
// by RFC 9002's packet and time thresholds. A lost packet is remembered for as long as an ACK can
// still speak of it, so that a needless retransmission is noticed and the packet threshold grows
// with the path's reordering.
#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/link/frame.h"
#include "dataplane/wire/ack.h"

namespace penstock {

struct SentPacket {
  enum class State : uint8_t { kInFlight, kAcked, kLost, kProbed };

  uint64_t packet = 0;
  uint64_t at = 0;  // when it was sent
  Sent what;
  uint32_t bytes = 0;  // of the frame
  State state = State::kInFlight;
  uint8_t port = 0;  // Spread
};

class SentPackets {
 public:
  static constexpr uint64_t kFirstThreshold = 3;
  static constexpr uint64_t kLastThreshold = 128;

  // `window`: packets in flight at most, a power of two up to the 256 that an ACK speaks of.
  explicit SentPackets(uint32_t window)
      : ring_(std::bit_ceil(window + kLastThreshold)), window_(window) {}

  uint32_t in_flight() const { return in_flight_; }
  uint32_t window() const { return window_; }
  bool full() const { return in_flight_ >= window_; }

  // When !full(). The ring holds a window and the widest threshold, so at its full length the
  // oldest is not in flight: so many younger ones have come that it counts as lost.
  void add(uint64_t packet, uint64_t now, const Sent& what, uint32_t bytes = 0, uint8_t port = 0) {
    if (tail_ - head_ == ring_.size()) {
      assert(slot(head_).state != SentPacket::State::kInFlight);
      head_++;
    }
    SentPacket& p = slot(tail_++);
    // One by one: a copy of what was just written in smaller parts would have to wait for them.
    p.packet = packet;
    p.at = now;
    p.what = what;
    p.bytes = bytes;
    p.state = SentPacket::State::kInFlight;
    p.port = port;
    in_flight_++;
    last_at_ = now;
  }

  // Calls `acked(packet, was)` for each that `a` says came and that was not known to; `was` is what
  // was thought of it. Returns whether the largest was among them, and its time of
  // transmission in `largest_sent_at`.
  template <class F>
  bool on_ack(const Ack& a, uint64_t& largest_sent_at, F&& acked) {
    bool largest = false;
    for (uint64_t i = head_; i != tail_; i++) {
      SentPacket& p = slot(i);
      if (p.packet > a.largest) break;
      if (p.state == SentPacket::State::kAcked || !a.has(p.packet)) continue;
      const SentPacket::State was = p.state;
      if (was == SentPacket::State::kLost) widen(a.largest - p.packet);
      if (was == SentPacket::State::kInFlight) in_flight_--;
      p.state = SentPacket::State::kAcked;
      if (p.packet == a.largest) {
        largest = true;
        largest_sent_at = p.at;
      }
      acked(p, was);
    }
    largest_acked_ = std::max(largest_acked_, a.largest);
    trim();
    return largest;
  }

  // Calls `lost(packet)` for each that counts as lost at `now`. Returns when to look again, ~0 for
  // never.
  template <class F>
  uint64_t find_lost(uint64_t now, uint64_t loss_delay, F&& lost) {
    uint64_t next = ~uint64_t{0};
    for (uint64_t i = head_; i != tail_; i++) {
      SentPacket& p = slot(i);
      if (p.packet >= largest_acked_) break;
      if (p.state != SentPacket::State::kInFlight) continue;
      if (largest_acked_ - p.packet < threshold_ && p.at + loss_delay > now) {
        next = std::min(next, p.at + loss_delay);
        continue;
      }
      p.state = SentPacket::State::kLost;
      in_flight_--;
      lost(p);
    }
    trim();
    return next;
  }

  // Gives up the oldest packet in flight, for a probe that sends its contents again; null: none.
  SentPacket* probe() {
    for (uint64_t i = head_; i != tail_; i++) {
      SentPacket& p = slot(i);
      if (p.state != SentPacket::State::kInFlight) continue;
      p.state = SentPacket::State::kProbed;
      in_flight_--;
      return &p;
    }
    return nullptr;
  }

  // Those on their way, oldest first.
  template <class F>
  void each_in_flight(F&& f) {
    for (uint64_t i = head_; i != tail_; i++)
      if (slot(i).state == SentPacket::State::kInFlight) f(slot(i));
  }

  // Nothing of this lane has to arrive any more.
  void forget(const OutLane* lane) {
    for (uint64_t i = head_; i != tail_; i++)
      if (slot(i).what.lane == lane) slot(i).what.lane = nullptr;
  }

  // A new connection.
  void reset() {
    in_flight_ = 0;
    head_ = tail_ = largest_acked_ = last_at_ = 0;
    threshold_ = kFirstThreshold;
  }

  // When the newest was sent.
  uint64_t last_at() const { return last_at_; }
  uint64_t threshold() const { return threshold_; }

 private:
  SentPacket& slot(uint64_t i) { return ring_[i & (ring_.size() - 1)]; }

  // Lets go of the oldest: acknowledged, or given up and out of every ACK's sight.
  void trim() {
    while (head_ != tail_) {
      const SentPacket& p = slot(head_);
      if (p.state == SentPacket::State::kInFlight) return;
      const bool out_of_sight = p.packet + kAckBits < largest_acked_;
      if (p.state != SentPacket::State::kAcked && !out_of_sight) return;
      head_++;
    }
  }

  void widen(uint64_t distance) {
    threshold_ = std::clamp(distance + 1, threshold_, kLastThreshold);
  }

  std::vector<SentPacket> ring_;
  uint32_t window_;
  uint32_t in_flight_ = 0;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;
  uint64_t largest_acked_ = 0;
  uint64_t threshold_ = kFirstThreshold;
  uint64_t last_at_ = 0;
};

}  // namespace penstock
