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

Rails::Lane* Rails::find(const OutLane& lane) {
  const auto it = std::ranges::find(lanes_, &lane, &Lane::lane);
  return it == lanes_.end() ? nullptr : &*it;
}

void Rails::done(const OutLane& lane, uint64_t bytes) {
  if (Lane* l = find(lane)) l->under_way -= std::min(bytes, l->under_way);
}

void Rails::join(OutLane& lane, uint64_t from_bytes) {
  if (find(lane) == nullptr) lanes_.push_back({&lane, false, 0});
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
  // A slow way does not take on what others of the chain should: no more than keeps it busy, and a
  // share beside other lanes.
  constexpr uint64_t kAhead = 4 << 20;
  Lane* known = find(lane);
  const uint64_t own = known != nullptr && lane.leads(m.message_len) ? known->under_way : 0;
  bool any = false;
  bool room = false;
  for (size_t i = 0; i < count_; i++) {
    if (!rails_[i]->takes(lane, m, bytes)) continue;
    any = true;
    const RailLoad load = rails_[i]->load();
    const bool ahead = own >= kAhead && 2 * own >= load.under_way && load.under_way != 0;
    if (rails_[i]->full() || ahead) continue;
    room = true;
    loads[i] = load;
  }
  if (!any) {
    if (!lane.waits_for_puts(m.message_len)) stats_.by_frames.add(1);
    return Take::kLater;
  }
  if (!room) {
    if (known != nullptr) known->waiting = true;
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
  if (known != nullptr) known->under_way += len;
  if (std::ranges::count(shares, 0U) < static_cast<ptrdiff_t>(kMostRails) - 1)
    stats_.striped.add(1);
  return Take::kTaken;
}

uint64_t Rails::time_for(uint64_t bytes) const {
  double least = 0;
  for (const RdmaPath* r : rails()) {
    if (!r->works()) continue;
    const double ns =
        static_cast<double>(r->load().under_way + bytes) * 1e9 / r->load().bytes_per_s;
    least = least == 0 ? ns : std::min(least, ns);
  }
  return static_cast<uint64_t>(least);
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
