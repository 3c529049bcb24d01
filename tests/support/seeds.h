// How many seeds a simulation runs: PENSTOCK_SEEDS, for a long run, or what it says itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace penstock::test {

inline uint64_t seeds(uint64_t usual) {
  const char* more = std::getenv("PENSTOCK_SEEDS");
  return more != nullptr ? std::max<uint64_t>(1, std::strtoull(more, nullptr, 10)) : usual;
}

// The command that runs a seed again, for the message of a test that failed. `program` is where the
// build folder has it.
inline std::string replay(const char* program, const char* test, uint64_t seed) {
  return "replay: PENSTOCK_SEEDS=" + std::to_string(seed + 1) + " build/plain/tests/" + program +
         " --gtest_filter=Seeds/" + test + "/" + std::to_string(seed) + "  ";
}

}  // namespace penstock::test
