// A lane with all that stands around it, in memory that a fork shares.
#pragma once

#include <cstdlib>
#include <sys/mman.h>

#include "tests/dataplane/lane/test_lane.h"

namespace penstock {

struct SharedLane {
  SharedLane() {
    if (memory == MAP_FAILED) abort();
    LaneWriter::format(memory, geometry, 1, 1);
  }
  SharedLane(const SharedLane&) = delete;
  SharedLane& operator=(const SharedLane&) = delete;
  ~SharedLane() { munmap(memory, size); }

  // Slot 0 is the reader's.
  LaneReader::Join join_only() {
    const auto joined = *desk.join(false);
    return {.memory = memory,
            .geometry = geometry,
            .page = page,
            .index = joined.index,
            .generation = joined.generation,
            .slot = &table->slots[0],
            .start = joined.start};
  }

  static constexpr LaneGeometry geometry = kTiny;
  static constexpr uint64_t size =
      geometry.total_bytes() + sizeof(NodePage) + sizeof(PositionTable) + sizeof(BellPage);

  std::byte* memory = static_cast<std::byte*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  NodePage* page = reinterpret_cast<NodePage*>(memory + geometry.total_bytes());
  PositionTable* table = reinterpret_cast<PositionTable*>(page + 1);
  BellPage* bells = reinterpret_cast<BellPage*>(table + 1);
  LaneDesk desk{page, reinterpret_cast<LaneHeader*>(memory), 1};
};

}  // namespace penstock
