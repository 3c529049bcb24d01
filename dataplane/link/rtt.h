// Rtt: round-trip time as RFC 9002 estimates it, and the two times made from it. Pure arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>

namespace penstock {

class Rtt {
 public:
  // Before the first sample a probe timeout is twice this: longer than a round trip in a
  // datacentre, even where the peer's worker shares its core.
  static constexpr uint64_t kInitialNs = 5'000'000;

  // `delay_ns`: what the peer says it waited before it acknowledged.
  void sample(uint64_t round_ns, uint64_t delay_ns) {
    min_ = samples_ == 0 ? round_ns : std::min(min_, round_ns);
    // The peer's word counts only as far as it leaves a possible round trip.
    const uint64_t adjusted = round_ns >= min_ + delay_ns ? round_ns - delay_ns : round_ns;
    latest_ = adjusted;
    if (samples_++ == 0) {
      smoothed_ = adjusted;
      variation_ = adjusted / 2;
      return;
    }
    const uint64_t off = smoothed_ > adjusted ? smoothed_ - adjusted : adjusted - smoothed_;
    variation_ = (3 * variation_ + off) / 4;
    smoothed_ = (7 * smoothed_ + adjusted) / 8;
  }

  // How long after the last transmission to probe when nothing is heard.
  uint64_t probe_timeout(uint64_t at_least) const {
    if (samples_ == 0) return std::max(2 * kInitialNs, at_least);
    return std::max(2 * smoothed_ + 4 * variation_, at_least);
  }

  // A packet that was sent so long before one that arrived is lost. Where packets overtake each
  // other: so long as the latest of them took, within two round trips.
  uint64_t loss_delay() const {
    const uint64_t base = samples_ == 0 ? kInitialNs : std::max(smoothed_, latest_);
    const uint64_t waits = std::clamp(late_, base, 2 * base);
    return std::max(waits + waits / 8, kGranularityNs);
  }
  // A packet that was taken for lost had arrived: so long after it was sent we know.
  void late(uint64_t took_ns) { late_ = std::max(late_, took_ns); }

  uint64_t smoothed() const { return smoothed_; }
  uint64_t min() const { return min_; }
  bool known() const { return samples_ != 0; }

 private:
  static constexpr uint64_t kGranularityNs = 1000;

  uint64_t smoothed_ = 0;
  uint64_t variation_ = 0;
  uint64_t latest_ = 0;
  uint64_t min_ = 0;
  uint64_t late_ = 0;
  uint64_t samples_ = 0;
};

}  // namespace penstock
