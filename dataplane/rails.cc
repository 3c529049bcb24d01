#include "dataplane/rails.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "dataplane/link/link.h"
#include "dataplane/rdma_path.h"

namespace penstock {
namespace {

// A part of a message is at least so many bytes, and begins at a multiple of them. An eighth: what
// is cut at all is cut evenly enough.
uint64_t grain_of(uint64_t stripe_from) {
  return std::max(stripe_from / 8 & ~(kArenaAlign - 1), kArenaAlign);
}

}  // namespace

Rails::Rails(Link& link, uint64_t stripe_from)
    : link_(link), stripe_from_(stripe_from), grain_(grain_of(stripe_from)) {}

void Rails::add(RdmaPath& rail) {
  assert(count_ < kMostRails);
  rails_[count_++] = &rail;
}

void Rails::join(OutLane& lane, uint64_t from_bytes) {
  if (std::ranges::find(lanes_, &lane, &Lane::lane) == lanes_.end())
    lanes_.push_back({&lane, false});
  lane.set_puts(this, from_bytes);
  link_.puts_again(lane);
}

void Rails::leave(OutLane& lane) {
  for (size_t i = 0; i < count_; i++)
    if (rails_[i]->has(lane)) return;
  std::erase_if(lanes_, [&](const Lane& l) { return l.lane == &lane; });
  lane.set_puts(nullptr, 0);
}

PutPath::Take Rails::put(OutLane& lane, const FragmentHeader& m, const std::byte* bytes,
                         uint64_t len) {
  std::array<RailLoad, kMostRails> loads;
  bool any = false;
  bool room = false;
  for (size_t i = 0; i < count_; i++) {
    if (!rails_[i]->takes(lane, m, bytes)) continue;
    any = true;
    if (rails_[i]->full()) continue;
    room = true;
    loads[i] = rails_[i]->load();
  }
  if (!any) {
    if (!lane.waits_for_puts(m.message_len)) stats_.by_frames.add(1);
    return Take::kLater;
  }
  if (!room) {
    for (Lane& l : lanes_)
      l.waiting |= l.lane == &lane;
    waiting_ = true;
    stats_.full.add(1);
    return Take::kFull;
  }
  const RailShares shares =
      len < stripe_from_ ? by_one_rail(loads, len) : by_all_rails(loads, len, grain_);
  FragmentHeader part = m;
  for (size_t i = 0; i < count_; i++) {
    if (shares[i] == 0) continue;
    rails_[i]->put(lane, part, bytes + part.offset, shares[i]);
    part.offset += shares[i];
  }
  assert(part.offset == m.offset + len);
  if (std::ranges::count(shares, 0U) < static_cast<ptrdiff_t>(kMostRails) - 1)
    stats_.striped.add(1);
  return Take::kTaken;
}

void Rails::up() {
  for (const Lane& l : lanes_)
    link_.puts_again(*l.lane);
}

void Rails::room() {
  if (!std::exchange(waiting_, false)) return;
  for (Lane& l : lanes_)
    if (std::exchange(l.waiting, false)) link_.puts_again(*l.lane);
}

}  // namespace penstock
