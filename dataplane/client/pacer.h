// Pacer: when a hot path should look at something slow (the control socket) again. About every
// millisecond, without a clock at each call: it looks at the time stamp counter every few calls,
// and at the clock when that says that a millisecond has passed. How many ticks that is it learns.
#pragma once

#include <cstdint>

#include "dataplane/base/clock.h"

namespace penstock::client {

class Pacer {
 public:
  // While calls come fast the counter is read at every `most_calls`-th (a power of two): a caller
  // that was fast and is slow now gets true after so many calls at the latest, and then, while it
  // is slower than a call a millisecond, each time.
  explicit Pacer(uint32_t most_calls) : most_calls_(most_calls) {}

  // One call of the hot path; true: it is time.
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
    last_ticks_ = Clock::ticks_now();
    return true;
  }

 private:
  static constexpr uint64_t kGapNs = 1'000'000;

  uint32_t left_ = 1;
  uint32_t interval_ = 1;
  const uint32_t most_calls_;
  // Of the last look. The counter is read after the clock then, and before it for the next one: who
  // was kept from running in between looks too early, not too late.
  uint64_t last_ns_ = 0;
  uint64_t last_ticks_ = 0;
  uint64_t gap_ticks_ = 0;  // at most so many make kGapNs
};

inline bool Pacer::decide() {
  const uint64_t ticks = Clock::ticks_now();
  bool yes = false;
  if (ticks - last_ticks_ >= gap_ticks_) {
    const uint64_t now = Clock::raw_ns();
    const uint64_t passed_ns = now - last_ns_;
    const uint64_t passed_ticks = last_ticks_ != 0 ? ticks - last_ticks_ : 0;
    yes = due_after(kGapNs, now);
    if (yes) gap_ticks_ = passed_ticks / (passed_ns / 1000) * (kGapNs / 1000);
  }
  if (yes)
    interval_ = 1;
  else if (interval_ < most_calls_)
    interval_ *= 2;
  left_ = interval_;
  return yes;
}

}  // namespace penstock::client
