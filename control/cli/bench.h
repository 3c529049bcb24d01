// `penstock bench`: what two clients of this node get from each other, measured through the node's
// own lanes: round trip, and messages a second one way.
#pragma once

#include <cstdint>
#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

struct BenchOptions {
  std::string socket;
  uint64_t size = 64;                    // bytes of a message
  uint64_t duration_ns = 2'000'000'000;  // of each of the two measurements
  bool json = false;
};

Exit bench(const Io& io, const BenchOptions& options);

}  // namespace penstock::cli
