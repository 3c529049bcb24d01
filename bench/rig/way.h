// Way: a lane with everything around it that a node would set up: its page, its readers' marks, and
// their position table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/rig/sides.h"
#include "dataplane/lane/layout.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"

namespace penstock::bench {

inline constexpr uint32_t kGeneration = 1;

struct Way {
  LaneGeometry geometry;
  std::byte* lane;
  NodePage* page;
  PositionTable* positions;

  // Before the sides part: both map it.
  Way(const LaneGeometry& g, uint32_t readers) : geometry(g) {
    lane = static_cast<std::byte*>(shared_memory(g.total_bytes()));
    page = static_cast<NodePage*>(shared_memory(sizeof(NodePage)));
    positions = static_cast<PositionTable*>(shared_memory(sizeof(PositionTable)));
    LaneWriter::format(lane, g, 1, 1);
    for (uint32_t i = 0; i < readers; i++)
      page->marks[i].state.store(pack_mark(ReaderState::kReliable, kGeneration));
    page->generation.store(1);
  }

  LaneReader::Join join(uint32_t reader) const {
    LaneReader::Join j;
    j.memory = lane;
    j.geometry = geometry;
    j.page = page;
    j.index = reader;
    j.generation = kGeneration;
    j.slot = &positions->slots[reader];
    return j;
  }
};

}  // namespace penstock::bench
