// A mirror's messages whose bytes come by another way: they lie in their place already.
#include "dataplane/link/in_lane.h"

namespace penstock {

Drop InLane::on_put(const FragmentHeader& h) {
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
