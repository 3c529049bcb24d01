#include "dataplane/lane/node_page.h"

#include <cassert>

#include "dataplane/base/event.h"

namespace penstock {

LaneDesk::LaneDesk(NodePage* page, const LaneHeader* header, uint64_t lane_id)
    : page_(page),
      header_(header),
      next_generation_(static_cast<uint32_t>((lane_id * 0x9e3779b97f4a7c15) >> 32)) {}

Result<LaneDesk::Joined> LaneDesk::take_mark(ReaderState as, uint64_t start) {
  if (page_->closed.load() != 0) return Errc::kClosed;
  uint32_t i = 0;
  while (i < kMaxReaders && state(i) != ReaderState::kFree)
    i++;
  if (i == kMaxReaders) return Errc::kFull;
  if (++next_generation_ == 0) ++next_generation_;  // 0 is what a fresh slot says
  ReaderMark& mark = page_->marks[i];
  mark.start.store(start);
  mark.state.store(pack_mark(as, next_generation_));
  change();
  readers_++;
  return Joined{i, next_generation_, start};
}

Result<LaneDesk::Joined> LaneDesk::join(bool lossy) {
  auto joined = take_mark(lossy ? ReaderState::kLossy : ReaderState::kReliable, kStartUnknown);
  if (!joined.ok()) return joined;
  full_fence();  // pairs with the one in LaneWriter::look_at_readers
  Joined& j = *joined;
  j.start = header_->head.load();
  if (j.start > kMaxPosition) {
    leave(j.index);
    return Errc::kInvalid;
  }
  page_->marks[j.index].start.store(j.start);
  return joined;
}

Result<LaneDesk::Joined> LaneDesk::join_from(uint64_t start) {
  assert(live() == 0);
  if (start > kMaxPosition) return Errc::kInvalid;
  return take_mark(ReaderState::kReliable, start);
}

void LaneDesk::leave(uint32_t index) {
  assert(state(index) != ReaderState::kFree);
  if (state(index) == ReaderState::kEvicted) evicted_--;
  leave_mark(index);
  readers_--;
}

void LaneDesk::leave_mark(uint32_t index) {
  SharedWord& state = page_->marks[index].state;
  state.store(pack_mark(ReaderState::kFree, mark_generation(state.load())));
  change();
}

void LaneDesk::evict(uint32_t index, Drop why) {
  ReaderMark& mark = page_->marks[index];
  const ReaderState was = state(index);
  if (was == ReaderState::kFree || was == ReaderState::kEvicted) return;
  evicted_++;
  mark.state.store(pack_mark(ReaderState::kEvicted, mark_generation(mark.state.load()),
                             static_cast<uint8_t>(why)));
  change();
}

// A publisher stamps and then looks, without a fence: with ours between the two words, either it
// sees that the lane ends, or who sees that it is closed sees the stamp.
void LaneDesk::close(CloseReason why, Writer writer) {
  page_->ending.store(1);
  change();
  if (writer == Writer::kMayWrite) remote_fence();
  page_->closed.store(static_cast<uint64_t>(why));
}

}  // namespace penstock
