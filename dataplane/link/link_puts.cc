// Messages that go by a PutPath: what a link does for them at either end.
#include "dataplane/link/link.h"

namespace penstock {

void Link::put_landed(OutLane& lane, uint64_t position, uint64_t offset, uint64_t bytes) {
  lane.put_landed(position, offset, bytes);
  lane.settle();
}

void Link::put_ended(OutLane& lane, uint64_t position, uint64_t offset, uint64_t bytes) {
  if (lane.state_ == OutLane::State::kDetached) return;
  lane.put_ended(position, offset, bytes);
  rouse(&lane);
}

Drop Link::on_put(const FragmentHeader& m, uint64_t now) {
  InLane* lane = nullptr;
  if (const Drop d = find_in(m.alias, m.epoch, lane); lane == nullptr)
    return d == Drop::kNone ? Drop::kNoLane : d;
  const Drop d = lane->on_put(m);
  touch(lane, now);
  return d;
}

void Link::on_put_landed(const FragmentHeader& m, uint64_t offset, uint64_t bytes, uint64_t now) {
  InLane* lane = nullptr;
  (void)find_in(m.alias, m.epoch, lane);
  if (lane == nullptr) return;
  lane->on_put_landed(m.position, offset, bytes);
  if (lane->relay_.passings != 0) [[unlikely]]
    relay_.pass_on(lane);
  touch(lane, now);
}

}  // namespace penstock
