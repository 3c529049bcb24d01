// How many seeds a simulation runs: PENSTOCK_SEEDS, for a long run, or what it says itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace penstock::test {

inline uint64_t seeds(uint64_t usual) {
  const char* more = std::getenv("PENSTOCK_SEEDS");
  return more != nullptr ? std::max<uint64_t>(1, std::strtoull(more, nullptr, 10)) : usual;
}

}  // namespace penstock::test
