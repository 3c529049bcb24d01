// One lane as one receiver of a simulated client reads it.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/sim_client.h"

namespace penstock::test {

struct SimClient::Reading {
  attach::Join join;
  uint64_t publisher = 0;  // 0: an inbox
  uint64_t standing = 0;
  bool begun = false;
  bool over = false;  // the node may have it
  Mapping memory;
  Mapping page;
  LaneReader reader;
  uint64_t shown = 0;
  uint64_t skipped = 0;
  uint64_t overrun = 0;     // not told yet
  uint64_t source_end = 0;  // one past the last that was read, where it was published; 0: none was
  std::vector<ClusterLedger::Name> held;  // of an inbox: read and not let go of
};

}  // namespace penstock::test
