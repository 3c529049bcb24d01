// A mirror's messages whose bytes come by another way: they lie in their place already.
#include <algorithm>

#include "dataplane/link/in_lane.h"

namespace penstock {

void InLane::let_put() {
  put_ = true;
  mirror_.may_be_written(granted_.arena + arena_size_);
}

// A lossy reader must know before a place is overwritten. Where the peer writes by itself, that is
// before it is told that it may; and so that such readers find anything at all, it is told of no
// more than half of the arena ahead.
uint64_t InLane::grantable() const {
  if (!put_ || !mirror_.has_lossy()) return seen_.arena;
  const uint64_t behind = fill_ - std::min(fill_, arena_size_ / 2);
  return std::max(granted_.arena, std::min(seen_.arena, behind));
}

// In what was granted, whatever else a frame may do: else it was written before anybody knew.
Drop InLane::on_put(const FragmentHeader& h) {
  const uint64_t end = arena_next(h.arena_position, h.message_len);
  if (!put_ || end - granted_.arena > arena_size_) return Drop::kNoCredit;
  Waiting* w = nullptr;
  return begin_pieces(h, w);
}

// What came of it by frames meanwhile does not count twice.
void InLane::on_put_landed(uint64_t position, uint64_t offset, uint64_t bytes) {
  if (position - head_ > ring_mask_) return;
  Waiting& w = ring_[position & ring_mask_];
  if (w.state != State::kPieces || offset >= w.len || bytes > w.len - offset) return;
  w.left -= static_cast<uint32_t>(blocks_.set(w.arena + offset, bytes));
  (void)finish_pieces(w);
}

}  // namespace penstock
