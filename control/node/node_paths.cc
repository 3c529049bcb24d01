// Which way messages come from peers, and what subscriptions say to that. Of a mirror all readers
// get the same: what comes by RDMA lies there as it was put, what comes by frames was copied.
//
//   prefer              a large one was copied ──▶ slow_path is raised, until one was put
//   require_zero_copy   at the publisher's node large ones wait for RDMA, at most rdma.wait; one
//                       that was copied is not shown: the client stops there, and is ended
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/tenant.h"

namespace penstock {

using attach::PathPolicy;

// Why a subscription cannot have its path policy; kOk: it can.
std::pair<Errc, const char*> Node::bad_path(const attach::Subscribe& m) const {
  if (m.path > PathPolicy::kRequireZeroCopy)
    return {Errc::kInvalid, "there is no such path policy: see penstock_path"};
  if (m.mode == Mode::kGroup && m.path != PathPolicy::kAny)
    return {Errc::kInvalid, "members of a group get their messages by any path"};
  if (m.path != PathPolicy::kRequireZeroCopy) return {Errc::kOk, ""};
  if (!m.overflow.holds_back())
    return {Errc::kInvalid,
            "who may miss messages copies those that it shows: zero copy can be required with the "
            "policies block and disconnect"};
  if (fabrics_.empty())
    return {Errc::kNoDevice,
            "zero copy is required, and this node has no RDMA device: see rdma.device, and "
            "`penstock doctor` for what one lacks; or prefer it, and take what comes"};
  return {Errc::kOk, ""};
}

// What a peer is asked for: what the strictest of ours with this filter wants. When that one goes
// the peer is not told before the next one comes; until then it waits whenever RDMA fails.
PathPolicy Node::shared_path(Mode mode, const std::string& filter) const {
  PathPolicy strictest = PathPolicy::kAny;
  for (const auto& [cid, c] : clients_)
    for (const auto& [sid, s] : c->subscriptions)
      if (s->mode == mode && s->filter == filter && !s->over)
        strictest = std::max(strictest, s->path);
  return strictest;
}

// --- at the publisher ---

// Some rail of its path takes its messages.
bool Node::goes_by_rdma(const ForwardRecord& f) {
  return std::ranges::any_of(f.peer->paths[f.path_index].rdma, [&](const auto& r) {
    const PutWay& way = f.puts[r->rail];
    return r->works() && way.life == r->life && way.memory != nullptr;
  });
}

// Some does, or may soon.
bool Node::waits_for_rdma(const ForwardRecord& f) {
  return !f.gave_up && std::ranges::any_of(f.peer->paths[f.path_index].rdma, [&](const auto& r) {
    const PutWay& way = f.puts[r->rail];
    const bool offered = r->state == RdmaRecord::State::kUp && way.life == r->life;
    return !r->refused && (!offered || way.memory != nullptr);
  });
}

// What waits does so for a while only.
void Node::look_at_waiting() {
  constexpr uint64_t kTellNs = 1'000'000'000;
  for (auto& [id, lane] : lanes_) {
    for (auto& f : lane->forwards) {
      if (f->forward == nullptr || f->ending) continue;
      const bool waits = f->zero_copy && f->forward->out().stats().held.load() != 0;
      if (!waits) f->held_since = 0;
      if (waits && f->held_since == 0) f->held_since = now_;
      const uint64_t waited = waits ? now_ - f->held_since : 0;
      tell_waiting(*f, waited >= kTellNs);
      if (!f->zero_copy) continue;
      if (!waits && goes_by_rdma(*f)) f->gave_up = false;
      if (waits && waited >= config_.put_wait_ns) f->gave_up = true;
      const bool held_back = f->shed.hold_from == config_.put_from_bytes;
      if (waits_for_rdma(*f) != held_back) set_shed(*lane, *f, nullptr);
    }
  }
}

void Node::tell_waiting(ForwardRecord& f, bool waits) const {
  const LaneRecord& lane = *f.lane;
  turn(
      waits, f.waits, EventName::kSlowPath, fmt::format("lane {} to node {}", lane.id, f.peer->id),
      fmt::format("{} (lane {}) waits for RDMA to node {} ({}), where somebody requires zero copy; "
                  "after rdma.wait it goes on by frames",
                  lane.name, lane.id, f.peer->id, f.peer->name),
      fmt::format("{} (lane {}) no longer waits for RDMA to node {} ({})", lane.name, lane.id,
                  f.peer->id, f.peer->name));
}

// --- at the subscriber ---

// What the reader has to read next is what it does not want to: a large message that was copied.
bool Node::stands_at_copied(const LaneRecord& lane, const ReaderRecord& r) {
  const uint64_t at = r.last_seen;
  if (r.subscription->path != PathPolicy::kRequireZeroCopy || !lane.stamped(at)) return false;
  const auto* ring = reinterpret_cast<const Descriptor*>(lane.map.data() + lane.geometry.ring_at());
  const uint64_t shape = ring[at & (lane.geometry.ring_size() - 1)].shape.get();
  const uint32_t topic = shape_topic(shape);
  return (shape_flags(shape) & kFlagCopied) != 0 && topic < lane.topics.size() &&
         matches(r.subscription->filter, lane.topics[topic]);
}

// Why large messages come to a mirror by frames, as far as this node can know.
std::string Node::why_copied(const LaneRecord& mirror) {
  if (mirror.peer == nullptr) return "its publisher says so";
  const PeerRecord& p = *mirror.peer;
  if (p.off)
    return fmt::format("node {} ({}), which is no peer any more, sent it so", p.id, p.name);
  const auto& rails = p.paths[mirror.path].rdma;
  if (rails.empty()) return "this node has no RDMA device there, see rdma.device";
  if (std::ranges::all_of(rails, [](const auto& r) { return r->refused; }))
    return fmt::format("node {} ({}) has no RDMA device, or no room", p.id, p.name);
  if (std::ranges::none_of(rails, [](const auto& r) { return r->works(); }))
    return fmt::format("there is no connection by RDMA to node {} ({}): see `penstock links`", p.id,
                       p.name);
  return fmt::format(
      "node {} ({}) sent it so: it was too large for the room that the mirror had, "
      "or rdma.from is higher there, or the lane or the mirror cannot be registered",
      p.id, p.name);
}

// Since it joined.
Came Node::came(const ReaderRecord& r) {
  Came c;
  c.add(r.lane->came(), r.before);
  return c;
}

void Node::look_at_slow_paths() {
  for (auto& [id, lane] : lanes_) {
    if (lane->in == nullptr) continue;
    for (auto& [index, r] : lane->readers) {
      if (r->subscription == nullptr || r->subscription->path != PathPolicy::kPrefer) continue;
      const Came now = lane->came();
      if (now.copied != r->seen.copied) {
        tell_slow_path(*r, true);
      } else if (now.put != r->seen.put) {
        tell_slow_path(*r, false);
      }
      r->seen = now;
    }
  }
}

void Node::tell_slow_path(ReaderRecord& r, bool slow) const {
  if (slow == r.slow_path) return;
  const LaneRecord& lane = *r.lane;
  const Subscription& s = *r.subscription;
  const uint64_t topic = lane.in->stats().copied_topic.load();
  const std::string who =
      fmt::format("client {}, subscribed to {},", s.client->name, bare_name(s.filter));
  const std::string what =
      slow ? fmt::format(
                 "{} reads {}, whose large messages come by frames, topic {} of its lane {} on "
                 "node {} ({}): {}",
                 who, lane.name, topic < lane.topics.size() ? bare_name(lane.topics[topic]) : "",
                 lane.origin_lane, lane.peer->id, lane.peer->name, why_copied(lane))
           : fmt::format("{} no longer gets large messages of {} by frames", who, lane.name);
  turn(slow, r.slow_path, EventName::kSlowPath, reader_name(r), what, what);
}

}  // namespace penstock
