// The end in order: nothing new begins, publishers end, and what they published gets to its
// readers.
//
//   drain ──▶ lanes of publishers close, peers give no more work ──▶ readers, forwards and groups
//             take what is there ──all of it, or time is up──▶ drained ──▶ stop
//
// Broadcast mirrors go on until stop(): who reads them keeps what is whole also when the node is
// gone.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"

namespace penstock {

// False: it begins nothing.
bool Node::refuse_new(ClientRecord& c, const attach::Header& h) {
  using attach::Type;
  if (h.type != Type::kHello && h.type != Type::kDeclare && h.type != Type::kAddTopic &&
      h.type != Type::kSubscribe)
    return false;
  c.session->refuse(h.request, static_cast<uint32_t>(Errc::kClosed),
                    fmt::format("node {} is draining: it is about to stop, and nothing new begins "
                                "here; try again when it is back",
                                config_.name));
  return true;
}

void Node::drain(uint64_t until) {
  until = std::max<uint64_t>(until, 1);
  if (draining()) {
    drain_until_ = std::min(drain_until_, until);
    return;
  }
  drain_until_ = until;
  note(EventName::kNote, "draining: publishers end, and what they published is delivered");
  for (auto& [cid, c] : clients_) {
    for (auto& [sid, s] : c->subscriptions) {
      if (!s->waiting) continue;
      s->waiting->peers.clear();
      finish_subscribe(*s);
    }
  }
  std::erase_if(wishes_, [&](const auto& w) {
    if (w.first.first != Mode::kGroup) return false;
    peer::SubDel m;
    m.key = w.second.key;
    for (auto& [id, p] : peers_)
      send(*p, m);
    return true;
  });
  std::vector<uint64_t> open;
  for (auto& [id, lane] : lanes_)
    if (lane->kind == LaneKind::kLane && !lane->closed) open.push_back(id);
  for (const uint64_t id : open) {
    const auto it = lanes_.find(id);
    if (it == lanes_.end()) continue;
    LaneRecord& lane = *it->second;
    if (lane.publisher != nullptr) lane.publisher->lanes.erase(id);  // it outlives the lane
    close_lane(lane, CloseReason::kNodeStopped);
  }
}

// By reader, what it has not taken.
std::string Node::undelivered(uint64_t& messages) const {
  std::map<std::string, uint64_t> left;
  messages = 0;
  for (const auto& [id, lane] : lanes_) {
    if (lane->kind == LaneKind::kMirror && lane->group.empty()) continue;
    for (const auto& [index, r] : lane->readers) {
      if (r->evicted) continue;
      const uint64_t n = totals(*r).in_flight;
      if (n == 0) continue;
      // Of an inbox whose member is gone nobody has it yet.
      const std::string who = r->forward != nullptr  ? "node " + clean(r->forward->peer->name)
                              : r->source != nullptr ? "group " + clean(r->source->group->filter)
                              : r->subscription != nullptr ? clean(r->subscription->client->name)
                                                           : "group " + clean(lane->group);
      left[who] += n;
      messages += n;
    }
  }
  std::string text;
  for (const auto& [who, n] : left)
    text += fmt::format("{}{} for {}", text.empty() ? "" : ", ", n, who);
  return text;
}

// What a worker moves from one lane to the next while we look may be seen in neither: it is in one
// of them at the next look.
void Node::look_at_drain(uint64_t now) {
  if (!draining() || drained_) return;
  uint64_t messages = 0;
  const std::string left = undelivered(messages);
  const bool arriving = std::ranges::any_of(lanes_, [](const auto& l) {
    return l.second->kind == LaneKind::kMirror && !l.second->group.empty() && !l.second->closed;
  });
  nothing_left_ = messages == 0 && !arriving ? nothing_left_ + 1 : 0;
  if (nothing_left_ < 2 && now < drain_until_) return;
  drained_ = true;
  note(EventName::kNote,
       messages == 0 ? "drained: all that was published is delivered"
                     : fmt::format("drained: time is up, and {} messages are not delivered: {}",
                                   messages, left));
}

}  // namespace penstock
