// Lanes: made, closed when their publisher goes, freed when the last reader has let go.
#include <fmt/format.h>
#include <utility>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"

namespace penstock {
// A lane that a client writes is read-only here; one that a worker writes is ours. Devices come
// first: one that reads memory by itself is shown none that its owner may not write.
Result<LaneRecord*> Node::make_lane(LaneKind kind, const LaneGeometry& geometry, const char* what) {
  auto lane = std::make_unique<LaneRecord>();
  lane->id = (config_.id << 32) | next_lane_++;
  lane->epoch = config_.epoch;
  lane->kind = kind;
  lane->geometry = geometry;
  auto memory = SealedMemory::create(what, geometry.total_bytes(), config_.huge_pages);
  auto page = SealedMemory::create("penstock-readers", sizeof(NodePage));
  if (!memory.ok()) return memory.error();
  if (!page.ok()) return page.error();
  lane->memory = std::move(*memory);
  lane->page_memory = std::move(*page);
  auto page_map = lane->page_memory.map(Access::kReadWrite);
  if (!page_map.ok()) return page_map.error();
  lane->page_map = std::move(*page_map);
  if (const Errc e = lane->page_memory.seal_writes(); e != Errc::kOk) return e;

  auto map = lane->memory.map(Access::kReadWrite);
  if (!map.ok()) return map.error();
  LaneWriter::format((*map).data(), geometry, lane->id, lane->epoch);
  if (kind != LaneKind::kLane) {
    lane->writer = std::make_unique<LaneWriter>((*map).data(), geometry, lane->page());
    if (const Errc e = lane->memory.seal_writes(); e != Errc::kOk) return e;
    lane->sealed = true;
  }
  lane->map = std::move(*map);
  lane->desk = LaneDesk(lane->page(), lane->header(), lane->id);
  lane->region.base = lane->map.data();
  lane->region.bytes = geometry.total_bytes();
  lane->worker = static_cast<uint32_t>(lane->id % workers_.size());
  lane->topics.resize(1);
  LaneRecord& made = *lane;
  for (PortRow& row : ports_) {
    const Errc e = row.net->port().map_region(made.region);
    if (e == Errc::kOk) continue;
    made.region.copied = true;
    if (!std::exchange(row.copies, true))
      note(
          EventName::kPortCopies,
          fmt::format("port {}: the device cannot read every lane where it lies ({}); payloads are "
                      "copied, and counted in tx_linearized",
                      row.name, text(e)));
  }
  if (kind == LaneKind::kLane) made.map.forbid_writing();
  lanes_[made.id] = std::move(lane);
  return &made;
}

// A topic came into use: everybody who wants it is joined before the publisher may go on.
void Node::topic_added(LaneRecord& lane, uint32_t topic) {
  const std::string& name = lane.topics[topic];
  if (lane.group.empty())
    broadcasts_.collect(name, [&](Subscription* s) { join_subscription(lane, *s); });
  for (auto& [filter, g] : groups_)
    if (lane.group.empty() ? lane.kind == LaneKind::kLane : lane.group == filter)
      group_topic(*g, lane, topic);
  if (lane.kind != LaneKind::kLane) return;
  for (auto& [id, p] : peers_) {
    for (auto& [key, interest] : p->interests)
      if (interest.mode == Mode::kBroadcast) offer(*p, lane, interest);
    // It is away, or has come back and not said yet what it wants.
    const auto wanted = [&](const std::string& filter) { return matches(filter, name); };
    const auto goes = [&](const auto& f) { return f->peer == p.get() && f->group == nullptr; };
    if (std::ranges::none_of(lane.forwards, goes) && std::ranges::any_of(p->absent, wanted))
      lane.miss(id, {p->absent_epoch, lane.head()});
  }
  for (const FormerPeer& p : former_)
    if (std::ranges::any_of(p.absent, [&](const auto& filter) { return matches(filter, name); }))
      lane.miss(p.id, {p.absent_epoch, lane.head()});
  for (auto& f : lane.forwards)
    skip_unwanted(lane, *f);
}

// No more will be published than is there. Readers take what is left and let go.
void Node::close_lane(LaneRecord& lane, CloseReason why) {
  if (lane.closed) return;
  lane.closed = true;
  lane.reason = why;
  // A worker has let go of a mirror or an inbox by now, but for the end of the node.
  const bool let_go = lane.kind != LaneKind::kLane && why != CloseReason::kNodeStopped;
  lane.desk.close(why, let_go ? LaneDesk::Writer::kHasLetGo : LaneDesk::Writer::kMayWrite);
  for (auto& [index, r] : lane.readers)
    if (r->subscription != nullptr) ask_to_leave(*r);
  lane_progress(lane);
}

// A closed lane has nothing more for that reader. It ends where its stamps end for it, whatever its
// header says.
bool Node::drained(const LaneRecord& lane, const ReaderRecord& r) const {
  const bool late = lane.end_by != 0 && now_ >= lane.end_by;
  return lane.closed && (late || !lane.stamped(totals(r).position));
}

// A closed lane ends when its forwards and sources have taken everything and its readers let go.
void Node::lane_progress(LaneRecord& lane) {
  if (!lane.closed || lane.dying) return;
  // The peer was away, and has not heard yet what it missed: that comes first of all.
  const auto untold = [](const ForwardRecord& f) {
    return f.owed_from != f.reader->start &&
           (f.forward == nullptr || f.forward->out().stats().delivered.read() == 0);
  };
  for (size_t i = 0; i < lane.forwards.size();) {
    ForwardRecord& f = *lane.forwards[i];
    i++;
    if (f.ending || f.group != nullptr) continue;  // a group's go with its source
    const bool done = !f.peer->up() || (drained(lane, *f.reader) && !untold(f));
    if (done) end_forward(f, Drop::kPeerDown, true);
  }
  std::vector<SourceRecord*> done;
  for (auto& [index, r] : lane.readers)
    if (r->source != nullptr && !r->source->leaving && r->source->source != nullptr &&
        drained(lane, *r))
      done.push_back(r->source);
  for (SourceRecord* s : done)
    remove_source(*s);
  if (!lane.readers.empty() || !lane.forwards.empty()) return;
  lane.dying = true;
  destroy_lane(lane);
}

// Nobody reads it. A worker may still write it (a mirror, an inbox) and frames in flight may still
// refer to it.
void Node::destroy_lane(LaneRecord& lane) {
  const uint64_t id = lane.id;
  const bool pushed = lane.pusher || !lane.group.empty();
  if (const uint64_t head = lane.head(); pushed && head > lane.parted) {
    // Pushed while the last reader left, or loaned before that; then nobody came any more.
    lane.left.sent += head - lane.parted;
    lane.left.dropped[Drop::kNoMember] += head - lane.parted;
  }
  if (lane.bells == &own_bells_) own_bell_slots_.give_back(lane.bell_slot);
  if (lane.publisher != nullptr) lane.publisher->bell_slots.give_back(lane.bell_slot);
  errands(lane.worker).send([](Worker&, uint64_t) {}, [this, id] { free_lane(id); });
}

void Node::free_lane(uint64_t id) {
  const auto it = lanes_.find(id);
  LaneRecord& lane = *it->second;
  lane.unused = true;
  if (!lane.region.in_flight.idle()) return;  // the next tick looks again
  unregister(lane);
  for (const PortRow& row : ports_)
    row.net->port().unmap_region(lane.region);
  left_.add(lane.left);
  count_ended(lane);
  std::shared_ptr<ClientRecord> keep = std::move(lane.keep);
  const std::string group = lane.kind == LaneKind::kInbox ? lane.name : std::string();
  lanes_.erase(it);
  if (keep != nullptr) retire(std::move(keep));
  // A group stays while it has inboxes; without members it must not outlive the last, or it would
  // hold the next publisher back for ever.
  if (const auto g = groups_.find(group); !group.empty() && g != groups_.end())
    end_group_if_unused(*g->second);
}

}  // namespace penstock
