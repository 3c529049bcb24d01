#include "control/daemon/members.h"

#include <fmt/format.h>
#include <fstream>
#include <random>
#include <sstream>

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
      membership_(std::move(store), registry_options(config, epoch, version)),
      roster_(config,
              [&events](std::string text) { events.note(EventName::kNote, std::move(text)); }) {}

// What a Roster calls by.
class Members::Ports final : public Roster::Caller {
 public:
  Ports(Node& node, Network& network, const Config& config, uint64_t epoch)
      : node_(node), network_(network), config_(config), epoch_(epoch) {}
  bool has_peer(uint64_t id) const override { return node_.has_peer(id); }
  bool add_peer(const PeerOptions& way, uint64_t least) override {
    return network_.add_peer(node_, config_, epoch_, way, least);
  }
  void remove_peer(uint64_t id) override { network_.remove_peer(node_, id); }

 private:
  Node& node_;
  Network& network_;
  const Config& config_;
  uint64_t epoch_;
};

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
  roster_.take(news.members);
  if (news.members.empty() && now < next_look_) return;
  next_look_ = now + Node::kTickNs;
  Ports ports(node, network, config_, epoch_);
  roster_.call(ports);
  if (auto up = node.peers_up(); up != heard_) {
    heard_ = std::move(up);
    membership_.set_heard(heard_);
  }
}

}  // namespace penstock
