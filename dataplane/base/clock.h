// Clock: nanoseconds that only grow, from the time stamp counter. A loop owns one, reads it once a
// turn and passes `now` down.
//
// The counter's rate is measured against CLOCK_MONOTONIC_RAW, for two milliseconds at the start and
// again at each recalibrate() over the whole time since; what the kernel or DPDK say of it is off
// by up to 0.2 % in virtual machines. Without an invariant counter, now() asks the kernel.
#pragma once

#include <cstdint>

namespace penstock {

class Clock {
 public:
  // Takes about two milliseconds.
  Clock();

  // On the line of CLOCK_MONOTONIC_RAW, at most a few microseconds off after a recalibrate().
  uint64_t now() const {
    if (ns_per_tick_q32_ == 0) return raw_ns();
    const uint64_t tick = ticks_now();
    const uint64_t ticks = tick > base_ticks_ ? tick - base_ticks_ : 0;  // cores differ by a little
    return base_ns_ + static_cast<uint64_t>((static_cast<Wide>(ticks) * ns_per_tick_q32_) >> 32);
  }

  // Owner only, every second or so: two clock reads. Never makes now() go back; a clock that is
  // ahead runs slower until the next call instead.
  void recalibrate();

  // The kernel's clock: what now() follows.
  static uint64_t raw_ns();

  // The counter itself, at a rate that the caller finds out; half of what raw_ns() costs. 0: none.
  static uint64_t ticks_now() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
  }

 private:
  __extension__ using Wide = unsigned __int128;
  struct Sample {
    uint64_t ticks;
    uint64_t ns;
  };
  static Sample sample();

  uint64_t base_ticks_ = 0;
  uint64_t base_ns_ = 0;
  uint64_t ns_per_tick_q32_ = 0;  // nanoseconds a tick, 32 bits behind the point; 0: no counter
  Sample first_{};
};

}  // namespace penstock
