// A mirror's messages whose bytes come by another way: they lie in their place already.
#include <algorithm>

#include "dataplane/link/in_lane.h"

namespace penstock {

void InLane::let_put(const PutMemory& memory) {
  put_ = true;
  relay_.held.reserve(RelayedLane::kMostHeld);
  relay_.refused.reserve(RelayedLane::kMostHeld);
  const auto same = [&](const PutMemory& m) { return m.device == memory.device; };
  if (std::ranges::none_of(put_memory_, same)) put_memory_.push_back(memory);
  mirror_.may_be_written(granted_.arena + arena_size_);
}

// A lossy reader must know before a place is overwritten. Where the peer writes by itself, that is
// before it is told that it may; and so that such readers find anything at all, it is told of no
// more than half of the arena ahead. What is held is not granted at all.
LaneWriter::Tail InLane::grantable() const {
  LaneWriter::Tail t = seen_;
  if (put_ && mirror_.has_lossy())
    t.arena = std::min(t.arena, fill_ - std::min(fill_, arena_size_ / 2));
  for (const RelayedLane::Held& h : relay_.held) {
    t.position = std::min(t.position, h.position);
    t.arena = std::min(t.arena, h.arena);
  }
  return {std::max(t.position, granted_.position), std::max(t.arena, granted_.arena)};
}

bool InLane::hold(uint64_t position, uint64_t arena) {
  if (granted_.position > position || granted_.arena > arena) return false;
  if (relay_.held.size() == relay_.held.capacity()) return false;
  relay_.held.push_back({position, arena});
  return true;
}

void InLane::release(uint64_t position, uint64_t arena) {
  const auto it = std::ranges::find_if(relay_.held, [&](const RelayedLane::Held& h) {
    return h.position == position && h.arena == arena;
  });
  if (it != relay_.held.end()) relay_.held.erase(it);
}

bool InLane::has_whole(uint64_t position) const {
  return static_cast<int64_t>(position - head_) < 0 ||
         ring_[position & ring_mask_].state == State::kWhole;
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
