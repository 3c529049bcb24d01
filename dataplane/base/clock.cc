#include "dataplane/base/clock.h"

#include <algorithm>
#include <ctime>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace penstock {
namespace {

constexpr uint64_t kFirstSpanNs = 2'000'000;
constexpr uint64_t kSlewSpanNs = 1'000'000'000;  // an offset is worked off over this time
constexpr int64_t kMaxSlewNs = 1'000'000;        // more is a jump: a machine that was paused

bool invariant_counter() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
#else
  return false;
#endif
}

}  // namespace

uint64_t Clock::raw_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

// The two clocks at one instant: the tightest of a few tries, so that an interrupt between the
// reads does not count.
Clock::Sample Clock::sample() {
  Sample best{};
  uint64_t tightest = ~uint64_t{0};
  for (int i = 0; i < 4; i++) {
    const uint64_t before = ticks_now();
    const uint64_t ns = raw_ns();
    const uint64_t width = ticks_now() - before;
    if (width < tightest) {
      tightest = width;
      best = {before + width / 2, ns};
    }
  }
  return best;
}

Clock::Clock() {
  if (!invariant_counter()) return;
  first_ = sample();
  Sample s = first_;
  while (s.ns - first_.ns < kFirstSpanNs)
    s = sample();
  ns_per_tick_q32_ =
      static_cast<uint64_t>((static_cast<Wide>(s.ns - first_.ns) << 32) / (s.ticks - first_.ticks));
  base_ticks_ = s.ticks;
  base_ns_ = s.ns;
}

void Clock::recalibrate() {
  if (ns_per_tick_q32_ == 0) return;
  const Sample s = sample();
  const auto passed =
      static_cast<uint64_t>((static_cast<Wide>(s.ticks - base_ticks_) * ns_per_tick_q32_) >> 32);
  const uint64_t said = base_ns_ + passed;
  const auto ahead = static_cast<int64_t>(said - s.ns);
  const int64_t slew = std::clamp(ahead, -kMaxSlewNs, kMaxSlewNs);
  const auto rate =
      static_cast<uint64_t>((static_cast<Wide>(s.ns - first_.ns) << 32) / (s.ticks - first_.ticks));
  const auto span = static_cast<int64_t>(kSlewSpanNs);
  ns_per_tick_q32_ = static_cast<uint64_t>(
      static_cast<Wide>(rate) * static_cast<uint64_t>(span - slew) / static_cast<uint64_t>(span));
  base_ticks_ = s.ticks;
  base_ns_ = ahead < -kMaxSlewNs ? s.ns : said;
}

}  // namespace penstock
