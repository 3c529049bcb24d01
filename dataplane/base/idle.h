// What a loop does when turns find no work: the setting of a core, and its state.
//
//   work ──▶ spin (pause) ──spin_ns──▶ yield ──yield_ns──▶ sleep on events, up to max_sleep_ns
//     ▲_________________________________________________________________________│ any work
//
// Idle never sleeps itself: the caller arms its events first, looks once more, then sleeps.
#pragma once

#include <cstdint>
#include <sched.h>

namespace penstock {

// Tells the core that this is a spin, so that its sibling thread gets the units.
inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

enum class IdleMode : uint8_t {
  kSpin,      // never gives the core away: for isolated cores
  kAdaptive,  // spins, yields, then sleeps: for cores that others use too
};

struct IdleConfig {
  IdleMode mode = IdleMode::kAdaptive;
  uint64_t spin_ns = 20'000;            // since the last work
  uint64_t yield_ns = 50'000;           // since the last work; from here on it sleeps
  uint64_t max_sleep_ns = 100'000'000;  // a bound, should an event ever be lost
};

// Owned by one loop.
class Idle {
 public:
  Idle() = default;
  explicit Idle(const IdleConfig& config) : config_(config) {}

  // After a turn that did `work` at time `now` (ns). Returns how long the caller should sleep on
  // its events: 0 means go on at once (it has paused or yielded meanwhile).
  uint64_t turn(uint32_t work, uint64_t now) {
    if (work != 0) {
      last_work_ = now;
      return 0;
    }
    const uint64_t idle_ns = now - last_work_;
    if (config_.mode == IdleMode::kSpin || idle_ns < config_.spin_ns) {
      pause_cpu();
      return 0;
    }
    if (idle_ns < config_.yield_ns) {
      sched_yield();
      return 0;
    }
    return config_.max_sleep_ns;
  }

 private:
  IdleConfig config_;
  uint64_t last_work_ = 0;
};

}  // namespace penstock
