// Congestion: how many packets of a path may be in flight, so that queues in the network stay
// short. Owned by one link. Pure arithmetic: what acknowledgements said goes in, a window comes
// out.
//
//   window   grows by a packet a round trip (doubles at first)     while the delay is below target
//            shrinks by how far the delay is above it, or by the   once a round trip
//            share of marked or lost packets, at most by half
//
// Delay target and pacing below one packet a round trip: Swift (Kumar et al., SIGCOMM 2020). Marks:
// DCTCP (RFC 8257). Loss counts only from a tenth on: less is what a bad cable does, and repairing
// it is cheap.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace penstock {

class Congestion {
 public:
  struct Config {
    bool on = true;
    uint64_t queue_ns = 20'000;  // what queues may add to the path's own round trip
    uint32_t most = 256;         // packets
  };

  static constexpr uint32_t kFirst = 2;  // packets before anything is known: many may send to one

  explicit Congestion(const Config& config) : config_(config) { reset(); }

  // A new session, perhaps another way through the network.
  void reset() {
    window_ = config_.on ? std::min<double>(kFirst, config_.most) : config_.most;
    marked_share_ = 1;
    lost_share_ = 0;
    round_ends_ = 0;
    round_size_ = window_;
    acked_ = marked_ = lost_ = late_share_ = 0;
    base_ns_ = base_before_ns_ = ~uint64_t{0} / 2;
    base_until_ = 0;
    doubling_ = true;
  }

  struct Acked {
    uint32_t packets = 0;     // that were not known to have come
    uint32_t marked = 0;      // of these, by the network
    uint64_t round_ns = 0;    // a round trip; 0: no sample
    uint64_t hosts_ns = 0;    // of it, what the hosts at both ends may have waited
    uint64_t smooth_ns = 0;   // the usual round trip
    bool window_used = true;  // there was no room in the window for more
  };

  void on_ack(const Acked& a, uint64_t now) {
    if (!config_.on) return;
    acked_ += a.packets;
    marked_ += a.marked;
    if (a.round_ns != 0) {
      look_at_base(a.round_ns, now);
      late_share_ = late_share(a.round_ns - std::min(a.round_ns, a.hosts_ns));
    }
    if (late_share_ == 0 && a.window_used) {
      const double n = a.packets;
      window_ += doubling_ ? n : n * std::min(window_, 1.0) / std::max(window_, 1.0);
    }
    if (acked_ + lost_ >= round_size_ || now >= round_ends_) end_round(a.smooth_ns, now);
    window_ = std::clamp<double>(window_, kLeast, config_.most);
  }

  void on_lost(uint32_t packets) { lost_ += packets; }
  // It was not lost.
  void on_late() { lost_ = std::max(lost_ - 1, 0.0); }

  // Nothing came back for several probe timeouts: whatever the window was, it is not known now.
  void on_silence() {
    if (!config_.on) return;
    window_ = std::min<double>(window_, kFirst);
    doubling_ = true;
  }

  // Packets that may be in flight, at least 1.
  uint32_t packets() const { return static_cast<uint32_t>(std::max(window_, 1.0)); }

  // From one packet to the next, where even one in flight would be too many; else 0. At most as
  // long as the smallest window of a short path asks for: on one that has just become longer, a
  // packet that shows it must go before long.
  uint64_t pause_ns(uint64_t smooth_ns) const {
    if (window_ >= 1) return 0;
    const double pause = static_cast<double>(smooth_ns) / window_;
    return static_cast<uint64_t>(std::min(pause, kLongestPause));
  }

  double window() const { return window_; }

 private:
  static constexpr double kLeast = 0.01;
  static constexpr double kLongestPause = 2e6;
  static constexpr double kLossTolerated = 0.1;
  static constexpr uint64_t kBaseFor = 10'000'000'000;

  // The more flows share a queue, the smaller their windows and the longer it is: Swift's flow
  // scaling.
  uint64_t target_ns() const {
    const double more = std::min(4.0, 2.0 / std::sqrt(window_));
    return std::min(base_ns_, base_before_ns_) + config_.queue_ns +
           static_cast<uint64_t>(more * static_cast<double>(config_.queue_ns));
  }

  // The path's own round trip is the shortest of the last 10 to 20 seconds.
  void look_at_base(uint64_t round_ns, uint64_t now) {
    if (now >= base_until_) {
      base_before_ns_ = base_ns_;
      base_ns_ = round_ns;
      base_until_ = now + kBaseFor;
    }
    base_ns_ = std::min(base_ns_, round_ns);
  }

  // By how much a delay asks the window to shrink.
  double late_share(uint64_t delay_ns) const {
    const uint64_t target = target_ns();
    if (delay_ns <= target) return 0;
    return 0.8 * static_cast<double>(delay_ns - target) / static_cast<double>(delay_ns);
  }

  // A window was acknowledged, or a round trip has passed: it shrinks by what spoke loudest.
  void end_round(uint64_t smooth_ns, uint64_t now) {
    double share = late_share_;
    if (const double all = acked_ + lost_; all != 0) {
      marked_share_ += (marked_ / all - marked_share_) / 16;
      lost_share_ += (lost_ / all - lost_share_) / 8;
      if (marked_ != 0) share = std::max(share, marked_share_ / 2);
      if (lost_share_ > kLossTolerated) share = std::max(share, lost_share_ / 2);
    }
    round_size_ = window_;  // so many are on their way, whatever comes of it
    if (share != 0) {
      doubling_ = false;
      window_ *= 1 - std::min(share, 0.5);
    }
    acked_ = marked_ = lost_ = late_share_ = 0;
    round_ends_ = now + smooth_ns;
  }

  Config config_;
  double window_ = 0;
  double marked_share_ = 1;  // of packets, over the last rounds
  double lost_share_ = 0;
  double acked_ = 0, marked_ = 0, lost_ = 0;  // in this round
  double late_share_ = 0;                     // as of the last sample of this round
  uint64_t base_ns_ = 0, base_before_ns_ = 0;
  uint64_t base_until_ = 0;
  double round_size_ = 0;
  uint64_t round_ends_ = 0;
  bool doubling_ = true;  // nothing has spoken against it yet
};

}  // namespace penstock
