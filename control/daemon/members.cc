#include "control/daemon/members.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <sstream>

#include "control/config/address.h"
#include "control/membership/route.h"
#include "control/store/etcd_store.h"
#include "control/store/sqlite_store.h"
#include "control/store/static_store.h"

namespace penstock {
namespace {

OrSentence<std::unique_ptr<store::Store>> open_etcd(const StoreOptions& options) {
  store::EtcdOptions etcd;
  std::istringstream list(options.endpoints);
  for (std::string one; std::getline(list, one, ',');)
    if (!one.empty()) etcd.endpoints.push_back(one);
  etcd.prefix = options.prefix;
  etcd.ca = options.ca;
  etcd.certificate = options.certificate;
  etcd.key = options.key;
  etcd.user = options.user;
  if (!options.password_file.empty()) {
    std::ifstream in(options.password_file);
    if (!std::getline(in, etcd.password))
      return sentence(options.password_file + ": holds no password");
  }
  auto opened = store::open_etcd(etcd);
  if (!opened) return sentence(opened.error().text);
  return std::move(*opened);
}

Registry::Options registry_options(const Config& config, uint64_t epoch,
                                   const std::string& version) {
  std::random_device random;
  Registry::Options o;
  o.self.id = config.node.id;
  o.self.name = config.node.name;
  o.self.epoch = epoch;
  o.self.version = version;
  o.self.instance = fmt::format("{:08x}{:08x}", random(), random());
  for (const PortOptions& p : config.ports)
    o.self.ports.push_back({p.address.address, p.udp_port});
  o.lease = std::chrono::milliseconds(config.store.lease_ns / 1'000'000);
  o.snapshot = config.node.state_dir + "/members.snapshot";
  o.read_only = config.store.kind == StoreKind::kStatic;
  o.seed = uint64_t{random()} << 32 | random();
  return o;
}

bool same_way(const PeerOptions& a, const PeerOptions& b) {
  return a.port == b.port && a.address == b.address && a.udp_port == b.udp_port;
}

}  // namespace

OrSentence<std::unique_ptr<store::Store>> open_store(const StoreOptions& options) {
  switch (options.kind) {
    case StoreKind::kStatic:
      return std::make_unique<store::StaticStore>(options.path);
    case StoreKind::kSqlite: {
      store::SqliteOptions sqlite;
      sqlite.path = options.path;
      return std::make_unique<store::SqliteStore>(std::move(sqlite));
    }
    case StoreKind::kEtcd:
      return open_etcd(options);
    case StoreKind::kNone:
      break;
  }
  return std::unique_ptr<store::Store>();
}

Members::Members(const Config& config, uint64_t epoch, std::string version,
                 std::unique_ptr<store::Store> store, Events& events)
    : config_(config),
      epoch_(epoch),
      events_(events),
      membership_(std::move(store), registry_options(config, epoch, version)) {
  for (const PeerOptions& p : config.peers) {
    wanted_[p.id].way = p;
    called_[p.id] = p;
  }
}

const PeerOptions* Members::configured(uint64_t id) const {
  const auto at = std::ranges::find(config_.peers, id, &PeerOptions::id);
  return at == config_.peers.end() ? nullptr : &*at;
}

void Members::there(const Member& m) {
  const PeerOptions* fixed = configured(m.id);
  const auto way = fixed != nullptr ? *fixed : route(config_.ports, m);
  const auto known = wanted_.find(m.id);
  if (!way) {
    log(fmt::format("node {} ({}) is a member, but no port leads to any of its addresses{}", m.id,
                    m.name, known != wanted_.end() ? ": it is called where it was" : ""));
    return;
  }
  const bool moved = known != wanted_.end() && !same_way(known->second.way, *way);
  if (known == wanted_.end() || moved)
    log(fmt::format("node {} ({}) {}, at {}:{} by port {}", m.id, m.name,
                    moved ? "has moved and is called where it is" : "is a member",
                    format(way->address), way->udp_port, way->port));
  wanted_[m.id] = {*way, m.epoch, false};
}

void Members::gone(const Member& m) {
  const bool stays = configured(m.id) != nullptr;
  log(fmt::format("node {} ({}) has left, or is no more: {}", m.id, m.name,
                  stays ? "it is still called, because [[peer]] says so"
                        : "it is called no more, until it registers again"));
  if (!stays) wanted_.erase(m.id);
}

void Members::removed(const Member& m) {
  if (m.id == config_.node.id) {
    wanted_.clear();
    log(fmt::format("an operator has removed this node, epoch {}: it calls no other any more",
                    m.epoch));
  } else if (wanted_.erase(m.id) != 0) {
    log(fmt::format("node {} was removed by an operator, epoch {}: it may come back in a later one",
                    m.id, m.epoch));
  }
}

void Members::poll(Node& node, Network& network, uint64_t now) {
  const Membership::News news = membership_.take();
  complete_ |= news.complete;
  const auto say = [this](EventName name, const std::optional<std::string>& text,
                          std::string& known, const char* over) {
    if (!text) return;
    known = *text;
    if (text->empty())
      events_.clear(name, "store", over);
    else
      events_.raise(name, "store", "store: " + *text);
  };
  say(EventName::kStoreUnreachable, news.store_trouble, store_trouble_, "the store is heard again");
  say(EventName::kMembersTrouble, news.trouble, trouble_, "the members are in order again");
  for (auto at = news.members.begin(); at != news.members.end(); ++at) {
    // What is known of it later counts: who has moved is called where it is.
    if (std::any_of(at + 1, news.members.end(), [id = at->member.id](const MemberEvent& later) {
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
  if (news.members.empty() && now < next_look_) return;
  next_look_ = now + Node::kTickNs;
  for (auto at = called_.begin(); at != called_.end();) {
    const auto wanted = wanted_.find(at->first);
    const bool stays = wanted != wanted_.end() && same_way(wanted->second.way, at->second);
    if (!stays) network.remove_peer(node, at->first);
    at = stays ? std::next(at) : called_.erase(at);
  }
  for (auto& [id, peer] : wanted_) {
    if (called_.contains(id) || node.has_peer(id)) continue;
    if (network.add_peer(node, config_, epoch_, peer.way, peer.epoch)) {
      called_[id] = peer.way;
    } else if (!std::exchange(peer.refused, true)) {
      log(fmt::format("node {} ({}) is not called: this node has as many links as it can", id,
                      peer.way.name));
    }
  }
  if (auto up = node.peers_up(); up != heard_) {
    heard_ = std::move(up);
    membership_.set_heard(heard_);
  }
}

}  // namespace penstock
