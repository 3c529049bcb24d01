// The time-stamp counter as a clock: 10 ns to read, the same on every core. Calibrated against the
// kernel's raw clock, because the nominal frequency is off by up to 0.15 % in virtual machines.
#pragma once

#include <cstdint>
#include <ctime>

namespace penstock::bench {

inline uint64_t ticks() {
  return __builtin_ia32_rdtsc();
}

inline void pause() {
  __builtin_ia32_pause();
}

inline uint64_t raw_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Ticks of one nanosecond, measured over 10 ms. Call it once, before the sides start.
inline double calibrate() {
  const uint64_t ns = raw_ns();
  const uint64_t start = ticks();
  while (raw_ns() - ns < 10'000'000) {
  }
  const uint64_t end = ticks();
  return static_cast<double>(end - start) / static_cast<double>(raw_ns() - ns);
}

}  // namespace penstock::bench
