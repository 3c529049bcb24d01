// Pacer: when a hot path should look at something slow (the control socket) again. About every
// millisecond, without reading a clock at each call: it learns how many calls a millisecond holds.
#pragma once

#include <cstdint>

#include "dataplane/base/clock.h"

namespace penstock::client {

class Pacer {
 public:
  // One call of the hot path; true: it is time. A caller that is slower than a call a millisecond
  // gets true each time.
  bool due() { return tick() && decide(); }
  // The same in two steps: what is always done, and what seldom (once tick() said so; or before).
  bool tick() { return --left_ == 0; }
  bool decide();

  // The next call decides anew.
  void soon() { left_ = interval_ = 1; }

  // For callers that have other reasons to look, and know the time: true when the last look is
  // `gap_ns` ago.
  bool due_after(uint64_t gap_ns, uint64_t now) {
    if (now - last_ns_ < gap_ns) return false;
    last_ns_ = now;
    return true;
  }

 private:
  static constexpr uint64_t kGapNs = 1'000'000;
  // A clock read every so many calls is nothing, and a caller that was fast and is slow now finds
  // out soon.
  static constexpr uint32_t kMostCalls = 64;

  uint32_t left_ = 1;
  uint32_t interval_ = 1;
  uint64_t last_ns_ = 0;
};

inline bool Pacer::decide() {
  const bool yes = due_after(kGapNs, Clock::raw_ns());
  if (yes && interval_ > 1) interval_ /= 2;
  if (!yes && interval_ < kMostCalls) interval_ *= 2;
  left_ = interval_;
  return yes;
}

}  // namespace penstock::client
