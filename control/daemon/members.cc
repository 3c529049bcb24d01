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
  for (const PeerOptions& p : config.peers)
    peers_[p.id] = p;
}

void Members::poll(Node& node, Network& network) {
  const Membership::News news = membership_.take();
  if (news.trouble && news.trouble->empty())
    events_.clear(EventName::kStoreUnreachable, "store", "the store is heard again");
  if (news.trouble && !news.trouble->empty())
    events_.raise(EventName::kStoreUnreachable, "store", "store: " + *news.trouble);
  for (auto at = news.members.begin(); at != news.members.end(); ++at) {
    const auto& [kind, m] = *at;
    // What is known of it later counts: who has moved is called where it is.
    if (std::any_of(at + 1, news.members.end(),
                    [id = m.id](const MemberEvent& later) { return later.member.id == id; }))
      continue;
    const auto had = peers_.find(m.id);
    if (kind == MemberEvent::kGone) {
      if (had != peers_.end())
        log(fmt::format("node {} ({}) has left, or is no more", m.id, m.name));
      continue;
    }
    const auto way = route(config_.ports, m);
    if (!way) {
      log(fmt::format("node {} ({}) is a member, but no port leads to any of its addresses", m.id,
                      m.name));
    } else if (had == peers_.end()) {
      log(fmt::format("node {} ({}) is a member, at {}:{} by port {}", m.id, m.name,
                      format(way->address), way->udp_port, way->port));
      peers_[m.id] = *way;
      if (!network.add_peer(node, config_, epoch_, *way))
        log(fmt::format("node {} ({}) is not called: this node has as many links as it can", m.id,
                        m.name));
    } else if (!same_way(had->second, *way)) {
      log(fmt::format(
          "node {} ({}) says it is at {}:{}, but is called at {}:{} until this node is restarted",
          m.id, m.name, format(way->address), way->udp_port, format(had->second.address),
          had->second.udp_port));
    }
  }
}

}  // namespace penstock
