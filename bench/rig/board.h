// Board: what the two sides of a measurement share: barriers, the stop flag, the result, and the
// cache-line ping-pong that tells how far apart their CPUs are at this moment.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sched.h>
#include <vector>

#include "bench/rig/clock.h"
#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"

namespace penstock::bench {

inline constexpr uint64_t kEnd = ~uint64_t{0};
inline constexpr uint64_t kHops = 16;

struct Result {
  double value = 0;  // median: microseconds, or messages a second
  double p99 = 0;    // round trips only
  double p999 = 0;
  double lowest = 0;  // over the parts of the window: messages a second
  double highest = 0;
  uint64_t count = 0;  // messages behind the figures
  uint64_t wrong = 0;  // not 0: a message was lost, repeated, out of order or damaged
};

struct Board {
  // Written by one side each.
  struct alignas(kPair) Side {
    SharedWord arrived;
  } side[2];
  // Several lines in several pages, because what one costs depends on where its home is.
  struct alignas(4096) Hop {
    SharedWord ping;                 // left
    alignas(kPair) SharedWord pong;  // right
  } hops[kHops];
  alignas(kPair) SharedWord stop;  // whichever side keeps the time
  alignas(kPair) Result result;    // the side that measured, before it stops the other
  double ticks_per_ns = 1;
  double place_before_ns = 0;  // left
  double place_after_ns = 0;
  alignas(kPair) std::byte mail[2][8192];  // addresses and the like, before barrier()

  // Both sides call it; neither goes on before the other has come.
  void barrier(unsigned me) {
    const uint64_t turn = side[me].arrived.load_relaxed() + 1;
    side[me].arrived.store(turn);
    while (side[1 - me].arrived.load() < turn)
      sched_yield();
  }

  uint64_t ticks_of_ms(double ms) const { return static_cast<uint64_t>(ms * 1e6 * ticks_per_ns); }

  // Round trip of a cache line between the two CPUs, over 2 ms: the median of blocks of 64. Both
  // sides call it; the left one gets the answer.
  double place(unsigned me) {
    barrier(me);
    return me == 0 ? place_left() : place_right();
  }

 private:
  double place_left() {
    std::vector<uint64_t> blocks;
    blocks.reserve(4096);
    uint64_t n = placed;
    uint64_t now = ticks();
    const uint64_t end = now + ticks_of_ms(2);
    while (now < end && blocks.size() < blocks.capacity()) {
      for (int i = 0; i < 64; i++) {
        Hop& hop = hops[++n % kHops];
        hop.ping.store(n);
        while (hop.pong.load() != n) {
        }
      }
      const uint64_t then = now;
      now = ticks();
      blocks.push_back(now - then);
    }
    placed = n;
    hops[(n + 1) % kHops].ping.store(kEnd);
    const auto middle = blocks.begin() + static_cast<std::ptrdiff_t>(blocks.size() / 2);
    std::nth_element(blocks.begin(), middle, blocks.end());
    return static_cast<double>(*middle) / 64 / ticks_per_ns;
  }

  double place_right() {
    for (uint64_t n = placed + 1;; n++) {
      Hop& hop = hops[n % kHops];
      uint64_t said = 0;
      while ((said = hop.ping.load()) != n) {
        if (said == kEnd) {
          hop.ping.store(0);
          return 0;
        }
      }
      hop.pong.store(n);
    }
  }

  uint64_t placed = 0;  // rounds so far; left, between two barriers
};

}  // namespace penstock::bench
