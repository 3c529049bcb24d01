#include "tests/support/test_lane.h"

#include <cstring>

namespace penstock::test {

TestLane::TestLane(const LaneGeometry& geometry, uint64_t id, uint64_t head, uint64_t fill)
    : geometry_(geometry),
      memory_(static_cast<std::byte*>(std::aligned_alloc(4096, geometry.total_bytes()))),
      page_(std::make_unique<NodePage>()),
      positions_(std::make_unique<PositionTable>()) {
  std::memset(memory_.get(), 0, geometry.total_bytes());
  LaneWriter::format(memory_.get(), geometry, id, 1);
  auto* header = reinterpret_cast<LaneHeader*>(memory_.get());
  header->head.store(head);
  header->reserved.store(fill);
  desk_ = LaneDesk(page_.get(), header, id);
  writer_ = LaneWriter(memory_.get(), geometry, page_.get());
  (void)writer_.add_topic("t");
  region_.base = memory_.get();
  region_.bytes = geometry.total_bytes();
}

LaneReader TestLane::read(bool lossy) {
  const auto joined = desk_.join(lossy);
  ReaderSlot* slot = &positions_->slots[slots_++];
  LaneReader reader({.memory = memory_.get(),
                     .geometry = geometry_,
                     .page = page_.get(),
                     .index = (*joined).index,
                     .generation = (*joined).generation,
                     .slot = slot,
                     .start = (*joined).start,
                     .lossy = lossy});
  writer_.attach_reader((*joined).index, (*joined).generation, slot, Wake{});
  return reader;
}

}  // namespace penstock::test
