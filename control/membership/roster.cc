#include "control/membership/roster.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "control/config/address.h"
#include "control/membership/route.h"

namespace penstock {
namespace {

bool same_way(const PeerOptions& a, const PeerOptions& b) {
  return a.port == b.port && a.address == b.address && a.udp_port == b.udp_port;
}

}  // namespace

Roster::Roster(const Config& config, Log log) : config_(config), log_(std::move(log)) {
  for (const PeerOptions& p : config.peers) {
    wanted_[p.id].way = p;
    called_[p.id] = p;
  }
}

const PeerOptions* Roster::configured(uint64_t id) const {
  const auto at = std::ranges::find(config_.peers, id, &PeerOptions::id);
  return at == config_.peers.end() ? nullptr : &*at;
}

void Roster::there(const Member& m) {
  const PeerOptions* fixed = configured(m.id);
  const auto way = fixed != nullptr ? *fixed : route(config_.ports, m);
  const auto known = wanted_.find(m.id);
  if (!way) {
    log_(fmt::format("node {} ({}) is a member, but no port leads to any of its addresses{}", m.id,
                     m.name, known != wanted_.end() ? ": it is called where it was" : ""));
    return;
  }
  const bool moved = known != wanted_.end() && !same_way(known->second.way, *way);
  if (known == wanted_.end() || moved)
    log_(fmt::format("node {} ({}) {}, at {}:{} by port {}", m.id, m.name,
                     moved ? "has moved and is called where it is" : "is a member",
                     format(way->address), way->udp_port, way->port));
  wanted_[m.id] = {*way, m.epoch, false};
}

void Roster::gone(const Member& m) {
  const bool stays = configured(m.id) != nullptr;
  log_(fmt::format("node {} ({}) has left, or is no more: {}", m.id, m.name,
                   stays ? "it is still called, because [[peer]] says so"
                         : "it is called no more, until it registers again"));
  if (!stays) wanted_.erase(m.id);
}

void Roster::removed(const Member& m) {
  if (m.id == config_.node.id) {
    wanted_.clear();
    log_(fmt::format("an operator has removed this node, epoch {}: it calls no other any more",
                     m.epoch));
  } else if (wanted_.erase(m.id) != 0) {
    log_(
        fmt::format("node {} was removed by an operator, epoch {}: it may come back in a later one",
                    m.id, m.epoch));
  }
}

void Roster::take(std::span<const MemberEvent> events) {
  for (auto at = events.begin(); at != events.end(); ++at) {
    // What is known of it later counts: who has moved is called where it is.
    if (std::any_of(at + 1, events.end(), [id = at->member.id](const MemberEvent& later) {
          return later.member.id == id;
        }))
      continue;
    if (at->kind == MemberEvent::kThere)
      known_[at->member.id] = at->member;
    else
      known_.erase(at->member.id);
    if (at->kind == MemberEvent::kThere) there(at->member);
    if (at->kind == MemberEvent::kGone) gone(at->member);
    if (at->kind == MemberEvent::kRemoved) removed(at->member);
  }
}

void Roster::call(Caller& caller) {
  for (auto at = called_.begin(); at != called_.end();) {
    const auto wanted = wanted_.find(at->first);
    const bool stays = wanted != wanted_.end() && same_way(wanted->second.way, at->second);
    if (!stays) caller.remove_peer(at->first);
    at = stays ? std::next(at) : called_.erase(at);
  }
  for (auto& [id, peer] : wanted_) {
    if (called_.contains(id) || caller.has_peer(id)) continue;
    if (caller.add_peer(peer.way, peer.epoch)) {
      called_[id] = peer.way;
    } else if (!std::exchange(peer.refused, true)) {
      log_(fmt::format("node {} ({}) is not called: this node has as many links as it can", id,
                       peer.way.name));
    }
  }
}

}  // namespace penstock
