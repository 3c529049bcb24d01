#include "control/demo/latency.h"

#include <bit>
#include <cmath>

namespace penstock::demo {

// Durations below kSteps have a bucket each; above, every octave is cut into kSteps equal parts.
size_t Latency::bucket(uint64_t ns) {
  if (ns < kSteps) return ns;
  const auto octave = static_cast<unsigned>(std::bit_width(ns)) - 1;  // at least 4
  const uint64_t part = (ns >> (octave - 4)) - kSteps;
  return (octave - 3) * kSteps + part;
}

uint64_t Latency::upper_edge_ns(size_t bucket) {
  if (bucket < kSteps) return bucket;
  const size_t shift = bucket / kSteps - 1;
  return ((bucket % kSteps + kSteps + 1) << shift) - 1;
}

void Latency::add(uint64_t ns) {
  buckets_[bucket(ns)]++;
  count_++;
}

uint64_t Latency::quantile_ns(double q) const {
  const auto rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t b = 0; b < buckets_.size() && count_ > 0; b++) {
    seen += buckets_[b];
    if (seen >= rank && seen > 0) return upper_edge_ns(b);
  }
  return 0;
}

}  // namespace penstock::demo
