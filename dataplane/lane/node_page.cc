#include "dataplane/lane/node_page.h"

#include <cassert>

#include "dataplane/base/event.h"

namespace penstock {

LaneDesk::LaneDesk(NodePage* page, const LaneHeader* header, uint64_t lane_id)
    : page_(page),
      header_(header),
      next_generation_(static_cast<uint32_t>((lane_id * 0x9e3779b97f4a7c15) >> 32)) {}

Result<LaneDesk::Joined> LaneDesk::join(bool lossy) {
  if (page_->closed.load() != 0) return Errc::kClosed;
  uint32_t i = 0;
  while (i < kMaxReaders && state(i) != ReaderState::kFree)
    i++;
  if (i == kMaxReaders) return Errc::kFull;
  if (++next_generation_ == 0) ++next_generation_;  // 0 is what a fresh slot says
  ReaderMark& mark = page_->marks[i];
  mark.start.store(kStartUnknown);
  mark.state.store(
      pack_mark(lossy ? ReaderState::kLossy : ReaderState::kReliable, next_generation_));
  change();
  remote_fence();
  const uint64_t start = header_->head.load();
  if (start > kMaxPosition) {
    leave_mark(i);
    return Errc::kInvalid;
  }
  mark.start.store(start);
  readers_++;
  return Joined{i, next_generation_, start};
}

void LaneDesk::leave(uint32_t index) {
  assert(state(index) != ReaderState::kFree);
  leave_mark(index);
  readers_--;
}

void LaneDesk::leave_mark(uint32_t index) {
  SharedWord& state = page_->marks[index].state;
  state.store(pack_mark(ReaderState::kFree, mark_generation(state.load())));
  change();
}

void LaneDesk::evict(uint32_t index) {
  ReaderMark& mark = page_->marks[index];
  if (state(index) == ReaderState::kFree) return;
  mark.state.store(pack_mark(ReaderState::kEvicted, mark_generation(mark.state.load())));
  change();
}

void LaneDesk::close(CloseReason why) {
  page_->closed.store(static_cast<uint64_t>(why));
  change();
}

}  // namespace penstock
