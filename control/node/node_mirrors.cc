// Mirrors: lanes that peers forward to us. A worker writes them; readers here cannot tell them from
// lanes of this host.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

peer::LaneRefused refusal(const peer::LaneTopic& m, Errc why) {
  peer::LaneRefused r;
  r.path = m.path;
  r.alias = m.alias;
  r.epoch = m.epoch;
  r.topic = m.topic;
  r.code = static_cast<uint32_t>(why);
  return r;
}

}  // namespace

// One that is ending is none: its alias may be in use again, as a restarted peer counts anew.
LaneRecord* Node::find_mirror(PeerRecord& p, uint32_t path, uint32_t alias) {
  for (auto& [id, lane] : lanes_)
    if (lane->peer == &p && lane->path == path && lane->alias == alias && !lane->ending &&
        !lane->closed)
      return lane.get();
  return nullptr;
}

// The mirror, unless it ended while a worker was asked something: nobody may send to it then.
LaneRecord* Node::open_mirror(uint64_t id) {
  const auto it = lanes_.find(id);
  return it == lanes_.end() || it->second->ending || it->second->closed ? nullptr
                                                                        : it->second.get();
}

// As large as the lane, or as mirrors may be here, in each respect. kWouldBlock: there is no place
// now, but one that is ending will give its own back.
Result<LaneRecord*> Node::make_mirror(PeerRecord& p, const peer::LaneTopic& m) {
  LaneGeometry g = m.geometry;
  g.ring_log2 = std::min(g.ring_log2, config_.mirror.ring_log2);
  g.arena_log2 = std::min(g.arena_log2, config_.mirror.arena_log2);
  g.topics = std::min(g.topics, config_.mirror.topics);
  const auto holds = [&](const auto& l) { return l.second->peer == &p && !l.second->dying; };
  const auto leaves = [](const auto& l) {
    return !l.second->dying && (l.second->ending || l.second->closed);
  };
  const auto mirrors = std::ranges::count_if(lanes_, holds);
  if (static_cast<size_t>(mirrors) >= kMostMirrors) {
    if (std::ranges::any_of(lanes_, [&](const auto& l) { return holds(l) && leaves(l); }))
      return Errc::kWouldBlock;
    note(EventName::kLaneRefused,
         fmt::format("node {} ({}) has {} mirrors here, half of the {} places for what a node "
                     "writes: no more for one peer",
                     p.id, p.name, mirrors, kBellSlots));
    return Errc::kFull;
  }
  const auto bell = own_bell_slots_.take();
  if (!bell) {
    const bool soon = std::ranges::any_of(
        lanes_, [&](const auto& l) { return l.second->bells == &own_bells_ && leaves(l); });
    return soon ? Errc::kWouldBlock : Errc::kFull;
  }
  auto made = make_lane(LaneKind::kMirror, g, "penstock-mirror");
  if (!made.ok()) {
    own_bell_slots_.give_back(*bell);
    return made.error();
  }
  LaneRecord& lane = **made;
  lane.peer = &p;
  lane.path = m.path;
  lane.alias = m.alias;
  lane.alias_epoch = m.epoch;
  lane.origin_lane = m.lane_id;
  lane.worker = p.paths[m.path].worker;
  lane.name = clean(peer::text(m.publisher));
  lane.bells = &own_bells_;
  lane.bell_slot = *bell;
  if (m.mode == Mode::kGroup) lane.group = peer::text(m.group);
  lane.in = std::make_unique<InLane>(m.alias, m.epoch, *lane.writer, m.lane_id);
  lane.in->set_region(&lane.region);
  lane.in->set_large_from(config_.put_from_bytes);
  const PathRecord& path = p.paths[m.path];
  errands(lane.worker)
      .ask(
          [in = lane.in.get(), l = path.path.get(), session = path.session](Worker&, uint64_t) {
            return l->link.in_session(session) ? l->link.add_in(in) : Errc::kOk;
          },
          [this, id = lane.id, m](Errc why) {
            LaneRecord* mirror = why != Errc::kOk ? open_mirror(id) : nullptr;
            if (mirror == nullptr) return;
            note(EventName::kLaneRefused,
                 fmt::format("no mirror for lane {} of node {}: {}", mirror->origin_lane,
                             mirror->peer->id, text(why)));
            send(*mirror->peer, refusal(m, why));
            close_mirror(*mirror, CloseReason::kPeerDown);
          });
  return &lane;
}

// Readers here are joined before the peer hears that it may send.
void Node::on_lane_topic(PeerRecord& p, const peer::LaneTopic& m) {
  const auto refuse = [&](Errc why) { send(p, refusal(m, why)); };
  const std::string_view name = peer::text(m.name);
  if (m.path >= p.paths.size() || m.alias == 0 || m.mode > Mode::kGroup)
    return refuse(Errc::kInvalid);
  if (!m.geometry.valid() || m.topic >= m.geometry.topics || !valid_tenant_topic(name) ||
      (m.mode == Mode::kGroup &&
       (!valid_tenant_filter(peer::text(m.group)) || !matches(peer::text(m.group), name))))
    return refuse(Errc::kInvalid);
  if (m.topic >= config_.mirror.topics) return refuse(Errc::kBadTopic);
  if (!may(p, Right::kPublish, name)) return refuse(Errc::kDenied);
  const PathRecord& path = p.paths[m.path];
  if (!path.up || path.session != m.session) return refuse(Errc::kWouldBlock);
  LaneRecord* lane = find_mirror(p, m.path, m.alias);
  if (lane == nullptr) {
    auto made = make_mirror(p, m);
    if (!made.ok()) {
      if (made.error() != Errc::kWouldBlock)
        note(EventName::kLaneRefused, fmt::format("no mirror for lane {} of node {}: {}", m.lane_id,
                                                  p.id, text(made.error())));
      return refuse(made.error());
    }
    lane = *made;
  }
  if (m.topic >= lane->geometry.topics || lane->origin_lane != m.lane_id ||
      lane->group != (m.mode == Mode::kGroup ? peer::text(m.group) : std::string_view()))
    return refuse(Errc::kInvalid);
  // Its readers see all of it, so all of it is one tenant's.
  if (std::ranges::any_of(lane->topics, [&](const std::string& t) {
        return !t.empty() && tenant_of(t) != tenant_of(name);
      }))
    return refuse(Errc::kInvalid);
  if (lane->topics.size() <= m.topic) lane->topics.resize(m.topic + 1);
  std::string& row = lane->topics[m.topic];
  if (!row.empty() && row != name) return refuse(Errc::kInvalid);
  row = name;
  errands(lane->worker)
      .send([w = lane->writer.get(), topic = m.topic, name = std::string(bare_name(name))](
                Worker&, uint64_t) { (void)w->put_topic(topic, name); });
  topic_added(*lane, m.topic);
  peer::LaneReady ready;
  ready.path = m.path;
  ready.alias = m.alias;
  ready.epoch = m.epoch;
  ready.topic = m.topic;
  ready.mirror = lane->geometry;
  // Behind everything that was just asked of the worker.
  errands(lane->worker)
      .send([](Worker&, uint64_t) {},
            [this, id = lane->id, ready] {
              LaneRecord* mirror = open_mirror(id);
              if (mirror == nullptr) return;
              send(*mirror->peer, ready);
              for (auto& r : mirror->peer->paths[mirror->path].rdma)
                if (!mirror->put_memory.contains(&r->fabric)) offer_mirror(*mirror, *r);
            });
}

// The peer has nothing more for it, and everything it sent has arrived: it says so after the last
// acknowledgement.
void Node::on_lane_close(PeerRecord& p, const peer::LaneClose& m) {
  LaneRecord* lane = find_mirror(p, m.path, m.alias);
  if (lane != nullptr) {
    const auto why = m.reason <= static_cast<uint32_t>(CloseReason::kNodeStopped)
                         ? static_cast<CloseReason>(m.reason)
                         : CloseReason::kPublisherLeft;
    close_mirror(*lane, why);
  }
  peer::LaneClosed closed;
  closed.path = m.path;
  closed.alias = m.alias;
  closed.epoch = m.epoch;
  send(p, closed);
}

void Node::on_lane_held(PeerRecord& p, const peer::LaneHeld& m) {
  if (LaneRecord* lane = find_mirror(p, m.path, m.alias)) lane->held_there = m.held != 0;
}

// No more comes in; readers take what is whole.
void Node::close_mirror(LaneRecord& lane, CloseReason why) {
  if (lane.closed || lane.ending) return;
  lane.ending = true;
  const PathRecord& path = lane.peer->paths[lane.path];
  errands(lane.worker)
      .send(
          [l = path.path.get(), session = path.session, alias = lane.alias](Worker&, uint64_t) {
            if (l->link.in_session(session)) (void)l->link.remove_in(alias);
          },
          [this, id = lane.id, why] {
            const auto it = lanes_.find(id);
            if (it != lanes_.end()) close_lane(*it->second, why);
          });
}

}  // namespace penstock
