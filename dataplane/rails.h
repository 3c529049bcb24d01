// Rails: the put path of a link with up to four connections by RDMA beside it, each over a device
// of the worker's. A message goes by the rail by which it is there first; from `stripe_from` on it
// is cut, a part for each rail, so that all parts are there together. A rail that fails ends alone:
// what was under way by it goes by frames, what comes after it by the others. Owned by the link's
// worker.
//
//   OutLane ──put──▶ Rails ──▶ RdmaPath ══ device ══▶ mirror: places are the link's, so parts
//                      └─────▶ RdmaPath ══ device ══▶         may come in any order
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/line.h"
#include "dataplane/link/put_path.h"
#include "dataplane/put_relay.h"
#include "dataplane/rail_share.h"

namespace penstock {

class Link;
class RdmaPath;

// Written by the worker, read by metrics.
struct alignas(kPair) RailsStats {
  Counter striped;    // messages that went by several rails
  Counter by_frames;  // large messages that no rail could take: none is up, or not registered
  Counter full;       // times that all transfers of all rails were in use
};

class Rails final : public PutPath {
 public:
  Rails(Link& link, uint64_t stripe_from);

  // While the worker does not have it: one rail more, of at most kMostRails, which goes before
  // this.
  void add(RdmaPath& rail);

  // --- the worker ---

  PutPath::Take put(OutLane& lane, const FragmentHeader& m, const std::byte* bytes,
                    uint64_t len) override;
  // A rail takes this lane's messages from `from_bytes` on, or no longer does.
  void join(OutLane& lane, uint64_t from_bytes);
  void leave(OutLane& lane);
  // So many bytes of the lane's are not under way any more.
  void done(const OutLane& lane, uint64_t bytes);
  // A transfer is done, or a rail has stopped: who waits for that may try again.
  void room();
  // A rail takes messages from now on: so may those that wait for one.
  void up();

  // Messages that go down a chain: put_relay.h.
  bool ask_for(Link& source, InLane& lane, uint64_t position) override {
    return relay_.ask_for(source, lane, position);
  }
  bool pass(Link& source, InLane& lane, const Pass& p) override {
    return relay_.pass(source, lane, p);
  }
  uint64_t time_for(uint64_t bytes) const override;
  void forget(const InLane* lane) override { relay_.forget(lane); }
  PutRelay& relay() { return relay_; }
  const PutRelay& relay() const { return relay_; }

  std::span<RdmaPath* const> rails() const { return {rails_.data(), count_}; }
  Link& link() { return link_; }

  // --- any core ---
  const RailsStats& stats() const { return stats_; }

 private:
  struct Lane {
    OutLane* lane;
    bool waiting;
    uint64_t under_way;  // bytes
  };
  Lane* find(const OutLane& lane);

  Link& link_;
  const uint64_t stripe_from_;
  const uint64_t grain_;
  bool waiting_ = false;  // some lane is
  size_t count_ = 0;
  std::array<RdmaPath*, kMostRails> rails_{};
  std::vector<Lane> lanes_;
  PutRelay relay_{*this};
  RailsStats stats_;
};

}  // namespace penstock
