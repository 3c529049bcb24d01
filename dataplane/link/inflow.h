// Inflow: how much may be on its way to one queue of a port, shared equally over the links that
// send just now. Many who send to one would else fill the queue in front of it, each with a window
// that is right for one alone (incast). Owned by the worker of the queue; all links of it share
// one.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/wire/ack.h"

namespace penstock {

class Inflow {
 public:
  // `bytes_per_us`: what the queue can take in; 0: not known, and nobody is told to hold back.
  explicit Inflow(uint64_t bytes_per_us = 0) : bytes_per_us_(bytes_per_us) {}

  // One link's standing here.
  class Sender {
   public:
    Sender() = default;

   private:
    friend class Inflow;
    uint64_t period_ = ~uint64_t{0};  // when it was heard last
  };

  // The link got contents.
  void heard(Sender& s, uint64_t now) {
    turn(now);
    if (s.period_ == period_) return;
    s.period_ = period_;
    senders_++;
  }

  // Packets of up to `bytes` each that it may have on the way, at a round trip of `rtt_ns`: a fair
  // share of a little more than the path holds, at least one.
  uint32_t share(uint64_t now, uint64_t rtt_ns, uint32_t bytes) {
    if (bytes_per_us_ == 0 || rtt_ns == 0) return kAnyNumber;
    turn(now);
    const uint64_t path = bytes_per_us_ * rtt_ns / 1000;
    const uint64_t all = (path + path / 4) / bytes;
    return static_cast<uint32_t>(
        std::clamp<uint64_t>(all / std::max({senders_, before_, 1u}), 1, kAnyNumber - 1));
  }

 private:
  static constexpr uint64_t kPeriodNs = 100'000;

  void turn(uint64_t now) {
    const uint64_t period = now / kPeriodNs;
    if (period == period_) return;
    before_ = period == period_ + 1 ? senders_ : 0;
    senders_ = 0;
    period_ = period;
  }

  uint64_t bytes_per_us_;
  uint64_t period_ = 0;
  uint32_t senders_ = 0;  // heard in this period
  uint32_t before_ = 0;   // and in the one before
};

}  // namespace penstock
