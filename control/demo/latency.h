// Latency: quantiles of many durations in little memory. Owned by one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock::demo {

class Latency {
 public:
  void add(uint64_t ns);
  uint64_t count() const { return count_; }
  // The duration that a share `q` (0 to 1) of those added stays within, at most 7 % too large; 0
  // when there are none.
  uint64_t quantile_ns(double q) const;
  void clear() { *this = Latency(); }

 private:
  static constexpr unsigned kSteps = 16;  // buckets an octave
  static size_t bucket(uint64_t ns);
  static uint64_t upper_edge_ns(size_t bucket);

  std::array<uint64_t, 64 * kSteps> buckets_{};
  uint64_t count_ = 0;
};

}  // namespace penstock::demo
