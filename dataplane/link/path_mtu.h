// PathMtu: how large a frame may be for the path to carry it. Found out by PINGs that are padded to
// the size in question and answered or not (RFC 8899; ICMP is not listened to). Sizes are bytes of
// a frame from the hop header on. Owned by one link. Pure logic.
//
//   base, which HELLO has proven ──probe the most──▶ answered: that it is
//        ▲                             └─ three times no answer: the next smaller size
//        └── three large packets vanish, and none sent later arrives ── and from there again
//
// What failed is tried again after a tenth of a second, then ever more rarely: it may have been bad
// luck, or the path becomes wider.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace penstock {

class PathMtu {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};
  // Until a size that failed is tried again, at first and in the long run.
  static constexpr uint64_t kFirstRaiseNs = 100'000'000;
  static constexpr uint64_t kRaiseNs = 10'000'000'000;

  // A path that carries `base`, between two ends that can both handle `most`.
  void reset(uint32_t base, uint32_t most, uint64_t now) {
    base_ = size_ = std::min(base, most);
    most_ = most;
    large_acked_ = 0;  // packet numbers begin anew
    begin(now);
  }
  void stop() { probe_at_ = kNever; }

  // What certainly goes through.
  uint32_t size() const { return size_; }

  // The size of the probe that is due, or 0.
  uint32_t due(uint64_t now) {
    if (now < probe_at_) return 0;
    if (tries_ == kTries) {
      trying_ = next_below(trying_);
      tries_ = 0;
      if (trying_ <= size_) later(now);
    }
    return now < probe_at_ ? 0 : trying_;
  }
  uint64_t next_at() const { return probe_at_; }

  // The probe that was due went out; no answer is worth waiting for after `timeout_ns`.
  void sent(uint64_t now, uint64_t timeout_ns) {
    tries_++;
    probe_at_ = now + timeout_ns;
    asked_ = trying_;
  }
  // The last probe was answered.
  void answered(uint64_t now) {
    if (asked_ > size_) pause_ = kFirstRaiseNs;
    size_ = std::max(size_, asked_);
    later(now);
  }

  // Of packets with contents, in any order. True: the path has become narrower.
  void acked(uint64_t packet, uint32_t bytes) {
    if (bytes <= base_) return;
    large_acked_ = std::max(large_acked_, packet);
    vanished_ = 0;
  }
  bool lost(uint64_t packet, uint32_t bytes, uint64_t now) {
    if (bytes <= base_ || packet <= large_acked_ || size_ == base_) return false;
    if (++vanished_ < kVanished) return false;
    size_ = base_;
    begin(now);
    return true;
  }

 private:
  static constexpr uint32_t kTries = 3;
  static constexpr uint32_t kVanished = 3;
  // Sizes that networks have, less the headers of IPv6 and UDP.
  static constexpr std::array<uint32_t, 5> kSizes = {8952, 4304, 1452, 1352, 1232};

  void begin(uint64_t now) {
    vanished_ = tries_ = 0;
    pause_ = kFirstRaiseNs;
    trying_ = most_;
    probe_at_ = most_ > size_ ? now : kNever;
  }
  // From the top again.
  void later(uint64_t now) {
    tries_ = 0;
    trying_ = most_;
    probe_at_ = size_ < most_ ? now + pause_ : kNever;
    pause_ = std::min(2 * pause_, kRaiseNs);
  }
  uint32_t next_below(uint32_t size) const {
    for (const uint32_t s : kSizes)
      if (s < size) return s;
    return 0;
  }

  uint32_t base_ = 0;
  uint32_t most_ = 0;
  uint32_t size_ = 0;
  uint32_t trying_ = 0;
  uint32_t asked_ = 0;  // the size of the last probe that went out
  uint32_t tries_ = 0;
  uint32_t vanished_ = 0;     // large packets, since one arrived
  uint64_t large_acked_ = 0;  // the latest packet beyond the base that arrived, of this connection
  uint64_t pause_ = kFirstRaiseNs;
  uint64_t probe_at_ = kNever;
};

}  // namespace penstock
