// The measuring loops. They work on an End, one side's view of whatever carries the messages:
//
//     bool send(uint64_t number);     // writes one message of job.size bytes; false: full for now
//     uint32_t poll(reader, f);       // f(bytes, len) for each message that came; returns how many
//
// They are flattened: what the compiler chose to inline otherwise decided over a fifth of the
// figure. Both sides poll; none sleeps, unless the carrier itself knows no other way.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/rig/board.h"
#include "bench/rig/bytes.h"
#include "bench/rig/clock.h"
#include "bench/rig/job.h"

namespace penstock::bench {

inline constexpr size_t kMaxSamples = size_t{1} << 22;
inline constexpr unsigned kParts = 10;  // the window of a rate is cut into so many parts

inline double percentile(std::vector<uint32_t>& sorted, double of) {
  const auto i = static_cast<size_t>(static_cast<double>(sorted.size() - 1) * of);
  return sorted[i];
}

template <class End>
uint64_t await(End& end, size_t len, uint64_t number) {
  uint64_t wrong = 0;
  const auto look = [&](const std::byte* bytes, size_t n) {
    wrong |= check(bytes, n, number) | (n ^ len);
  };
  while (end.poll(0, look) == 0) {
  }
  return wrong;
}

template <class End>
[[gnu::flatten]] void round_trips_left(End& end, const Job& job, Board& board) {
  std::vector<uint32_t> samples(kMaxSamples);  // touched here, not in the loop
  samples.clear();
  uint64_t wrong = 0;
  uint64_t then = ticks();
  const uint64_t warm = then + board.ticks_of_ms(job.ms / 4.0);
  const uint64_t last = warm + board.ticks_of_ms(job.ms);
  for (uint64_t n = 1; then < last && samples.size() < kMaxSamples; n++) {
    while (!end.send(n)) {
    }
    wrong |= await(end, job.size, n);
    const uint64_t now = ticks();
    if (then > warm) samples.push_back(static_cast<uint32_t>(std::min(now - then, kEnd >> 32)));
    then = now;
  }
  std::sort(samples.begin(), samples.end());
  const double us = 1 / (board.ticks_per_ns * 1000);
  Result& r = board.result;
  r.value = percentile(samples, 0.5) * us;
  r.p99 = percentile(samples, 0.99) * us;
  r.p999 = percentile(samples, 0.999) * us;
  r.count = samples.size();
  r.wrong = wrong;
  board.stop.store(1);
}

template <class End>
[[gnu::flatten]] void round_trips_right(End& end, const Job& job, Board& board) {
  uint64_t n = 1;
  uint64_t wrong = 0;
  const auto look = [&](const std::byte* bytes, size_t len) {
    wrong |= check(bytes, len, n) | (len ^ job.size);
  };
  while (board.stop.load() == 0) {
    if (end.poll(0, look) == 0) continue;
    while (!end.send(wrong == 0 ? n : 0)) {  // a wrong answer makes the left side count it
    }
    n++;
  }
}

template <class End>
[[gnu::flatten]] void one_way_left(End& end, Board& board) {
  for (uint64_t n = 1; board.stop.load_relaxed() == 0;) {
    if (end.send(n)) n++;
  }
}

template <class End>
[[gnu::flatten]] void one_way_right(End& end, const Job& job, Board& board) {
  std::vector<uint64_t> next(job.readers, 1);
  std::vector<double> rates;
  uint64_t count = 0;
  uint64_t seen = 0;
  uint64_t turns = 0;
  uint64_t wrong = 0;
  const uint64_t part = board.ticks_of_ms(job.ms) / kParts;
  uint64_t from_count = 0;
  uint64_t from = ticks() + board.ticks_of_ms(job.ms / 4.0);
  bool warm = false;
  while (rates.size() < kParts) {
    for (uint32_t r = 0; r < job.readers; r++) {
      count += end.poll(r, [&](const std::byte* bytes, size_t len) {
        wrong |= len ^ job.size;
        if (job.touched()) wrong |= check(bytes, len, next[r]);
        next[r]++;
      });
    }
    if (count - seen < 64 && ++turns % 1024 != 0) continue;  // the clock costs as much as a message
    seen = count;
    const uint64_t now = ticks();
    if (!warm && now >= from) {
      warm = true;
      from = now;
      from_count = count;
    } else if (warm && now - from >= part) {
      const double ns = static_cast<double>(now - from) / board.ticks_per_ns;
      rates.push_back(static_cast<double>(count - from_count) / ns * 1e9);
      from = now;
      from_count = count;
    }
  }
  std::sort(rates.begin(), rates.end());
  board.result = {.value = (rates[kParts / 2 - 1] + rates[kParts / 2]) / 2,
                  .lowest = rates.front(),
                  .highest = rates.back(),
                  .count = count,
                  .wrong = wrong};
  board.stop.store(1);
}

template <class End>
void measure(End& end, unsigned side, const Job& job, Board& board) {
  const bool left = side == 0;
  if (job.kind == Kind::kRtt) {
    left ? round_trips_left(end, job, board) : round_trips_right(end, job, board);
  } else {
    left ? one_way_left(end, board) : one_way_right(end, job, board);
  }
}

}  // namespace penstock::bench
