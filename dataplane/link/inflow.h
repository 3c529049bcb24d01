// Inflow: how much may be on its way to one queue of a port, shared equally over the links that
// send just now. Many who send to one would else fill the queue in front of it, each with a window
// that is right for one alone (incast). Owned by the worker of the queue; all links of it share
// one.
//
// Time goes in periods of a few round trips: who was heard in this one or the one before sends just
// now, even if it may send but one packet a round trip and that waits in a queue.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/wire/ack.h"

namespace penstock {

class Inflow {
 public:
  // One link's standing here.
  class Sender {
   public:
    Sender() = default;

   private:
    friend class Inflow;
    uint64_t period_ = ~uint64_t{0};  // when it was heard last
    uint64_t began_ = 0;              // when it was heard after a period of silence
  };

  // `bytes_per_us`: what the queue can take in; 0: not known, and nobody is told to hold back.
  explicit Inflow(uint64_t bytes_per_us = 0) : bytes_per_us_(bytes_per_us) {}

  // The link got contents.
  void heard(Sender& s, uint64_t now) {
    turn(now);
    if (s.period_ == period_) return;
    if (s.period_ + 1 != period_) s.began_ = now;
    s.period_ = period_;
    senders_++;
  }

  // Packets of up to `bytes` each that it may have on the way, at a round trip of `rtt_ns`: a fair
  // share of half more than the path holds (some of it is always an acknowledgement's wait behind),
  // at least one. Who has just begun is not alone perhaps: until others could be heard, two.
  uint32_t share(const Sender& s, uint64_t now, uint64_t rtt_ns, uint32_t bytes) {
    if (bytes_per_us_ == 0 || rtt_ns == 0) return kAnyNumber;
    period_ns_ = std::max(period_ns_, 4 * rtt_ns);
    turn(now);
    const uint64_t path = bytes_per_us_ * rtt_ns / 1000;
    const uint64_t all = (path + path / 2) / bytes;
    const uint64_t part = all / std::max({senders_, before_, 1u});
    const uint64_t most = now - s.began_ <= rtt_ns ? kFirst : kAnyNumber - 1;
    return static_cast<uint32_t>(std::clamp<uint64_t>(part, 1, most));
  }

 private:
  static constexpr uint64_t kFirst = 2;

  void turn(uint64_t now) {
    if (now - period_began_ < period_ns_) return;
    const bool next = now - period_began_ < 2 * period_ns_;
    before_ = next ? senders_ : 0;
    senders_ = 0;
    period_ += next ? 1 : 2;
    period_began_ = now;
  }

  uint64_t bytes_per_us_;
  uint64_t period_ns_ = 25'000;
  uint64_t period_ = 2;
  uint64_t period_began_ = 0;
  uint32_t senders_ = 0;  // heard in this period
  uint32_t before_ = 0;   // and in the one before
};

}  // namespace penstock
