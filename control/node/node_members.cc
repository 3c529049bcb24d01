// Peers come and go while traffic flows.
//
//   remove_peer ──▶ lanes and mirrors end, links close ──a tick: the peer hears──▶ off the ports
//               ──all workers have answered──▶ gone ──mirrors are read──▶ forgotten
#include <algorithm>
#include <cassert>
#include <fmt/format.h>

#include "control/node/node.h"

namespace penstock {
namespace {

// A connection by RDMA is there, or not yet gone.
bool has_rails(const PeerRecord& p) {
  return std::ranges::any_of(p.paths, [](const PathRecord& path) {
    return std::ranges::any_of(path.rdma,
                               [](const auto& r) { return r->state != RdmaRecord::State::kNone; });
  });
}

}  // namespace

void Node::add_peer(uint64_t id, std::string name, std::vector<PathRecord> paths, uint64_t epoch) {
  assert(!has_peer(id));
  auto p = std::make_unique<PeerRecord>();
  p->id = id;
  p->name = std::move(name);
  p->paths = std::move(paths);
  p->epoch = epoch;
  give_rdma(*p);
  bool was_cut = false;
  const auto was = std::ranges::find(former_, id, &FormerPeer::id);
  if (was != former_.end()) {
    p->epoch = std::max(epoch, was->epoch);
    p->absent = std::move(was->absent);
    p->absent_epoch = was->absent_epoch;
    was_cut = was->cut;
    former_.erase(was);
  }
  for (uint32_t i = 0; i < p->paths.size(); i++)
    raise(EventName::kLinkDown, path_name(*p, i),
          fmt::format("node {} ({}) is not up yet on path {}", id, p->name, i));
  for (PathRecord& path : p->paths) {
    LinkPath* l = path.path.get();
    NetPort* net = path.net;
    errands(path.worker).send([net, l, least = p->epoch](Worker&, uint64_t now) {
      l->link.fence(least, now);
      net->add_link(l, now);
    });
  }
  PeerRecord& made = *p;
  peers_[id] = std::move(p);
  if (was_cut) cut(made, "it was before it was removed and came back");
}

bool Node::has_peer(uint64_t id) const {
  return peers_.contains(id) ||
         std::ranges::any_of(leaving_, [id](const auto& p) { return p->id == id && !p->off; });
}

std::set<uint64_t> Node::peers_up() const {
  std::set<uint64_t> up;
  for (const auto& [id, p] : peers_)
    if (std::ranges::any_of(p->paths, &PathRecord::up)) up.insert(id);
  return up;
}

void Node::remove_peer(uint64_t id, std::function<void()> gone) {
  const auto it = peers_.find(id);
  if (it == peers_.end()) return;
  leaving_.push_back(std::move(it->second));
  peers_.erase(it);
  PeerRecord& p = *leaving_.back();
  const std::string text = fmt::format("node {} ({}) is no peer any more", id, p.name);
  for (uint32_t i = 0; i < p.paths.size(); i++) {
    path_down(p, i, LinkEvent::kClosedHere);
    clear(EventName::kLinkDown, path_name(p, i), text);
    if (p.paths[i].refused) clear(EventName::kPeerRefused, path_name(p, i), text);
    if (p.paths[i].suspect) clear(EventName::kLinkSuspect, path_name(p, i), text);
    for (const auto& r : p.paths[i].rdma)
      if (r->raised) clear(EventName::kRdmaDown, rail_name(*r), text);
  }
  if (p.cut) clear(EventName::kPeerCut, fmt::format("node {}", id), text);
  former_.push_back({id, p.epoch, std::move(p.absent), p.absent_epoch, p.cut});
  if (former_.size() > kMostFormer) {
    for (auto& [lane_id, lane] : lanes_)
      lane->missed.erase(former_.front().id);
    former_.pop_front();
  }
  p.absent.clear();
  p.gone = std::move(gone);
  p.take_off_at = now_ + kTickNs;
  p.on_workers = p.paths.size();
  for (PathRecord& path : p.paths)
    errands(path.worker).send([l = path.path.get()](Worker&, uint64_t now) {
      l->link.close(LinkClose::kStopped, now);
    });
}

void Node::take_off(PeerRecord& p) {
  for (PathRecord& path : p.paths)
    errands(path.worker)
        .send([net = path.net, l = path.path.get()](Worker&, uint64_t) { net->remove_link(l); },
              [&p] { p.on_workers--; });
}

// A device may still have something of it, or a forward that waited for that be on its way.
bool Node::uses_rdma(const PeerRecord& p) const {
  const auto forward = [&](const auto& f) { return f->peer == &p; };
  return has_rails(p) || std::ranges::any_of(lanes_, [&](const auto& l) {
           return std::ranges::any_of(l.second->forwards, forward);
         });
}

// The links are freed at a tick, when all that they had to tell has been taken from the ports. The
// name stays as long as somebody reads a mirror of it.
void Node::see_off(uint64_t now) {
  std::vector<std::function<void()>> told;
  for (const auto& p : leaving_) {
    if (p->off) continue;
    // Its rails first: they look at lanes of other links of the worker until they are off.
    if (p->take_off_at != 0 && now >= p->take_off_at && !has_rails(*p)) {
      p->take_off_at = 0;
      take_off(*p);
    }
    if (p->take_off_at != 0 || p->on_workers != 0 || uses_rdma(*p)) continue;
    for (const PathRecord& path : p->paths)
      for (size_t d = 1; d < kDrops; d++)
        if (const uint64_t n = path.path->link.stats().drops.by_reason[d].read(); n != 0)
          left_.dropped[static_cast<Drop>(d)] += n;
    p->paths.clear();
    p->off = true;
    if (p->gone) told.push_back(std::move(p->gone));
  }
  std::erase_if(leaving_, [&](const auto& p) {
    return p->off &&
           std::ranges::none_of(lanes_, [&](const auto& l) { return l.second->peer == p.get(); });
  });
  for (const auto& gone : told)
    gone();
}

}  // namespace penstock
