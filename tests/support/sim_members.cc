#include "tests/support/sim_members.h"

#include <filesystem>

#include "control/membership/roster.h"
#include "control/store/sqlite_store.h"
#include "tests/control/store/faulty_store.h"

namespace penstock::test {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr const char* kParts[] = {"", "-wal", "-shm"};

std::string fast_folder() {
  return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
}

penstock::Config config_of(uint32_t i, uint32_t life) {
  penstock::Config c;
  c.node.id = i + 1;
  c.node.name = "n" + std::to_string(i);
  PortOptions p;
  p.name = "sim";
  p.address = {SimCluster::address(i, 0, life), 8};
  p.udp_port = 9470;
  c.ports.push_back(p);
  return c;
}

Registry::Options options_of(const penstock::Config& c, uint64_t life,
                             const SimMembers::Config& config) {
  Registry::Options o;
  o.self = {c.node.id, c.node.name,          {{c.ports[0].address.address, 9470}},
            life,      std::to_string(life), "1"};
  o.lease = config.lease;
  o.seed = (config.seed * 64 + c.node.id) * 1024 + life;
  o.timing = config.timing;
  return o;
}

}  // namespace

struct SimMembers::Seat final : Roster::Caller {
  Seat(SimMembers& members, uint32_t i, SimCluster::Host& its)
      : cluster(members.cluster_),
        host(its),
        config(config_of(i, its.life)),
        sqlite({.path = members.folder_.file("s.db"),
                .now_ms = [&c = members.cluster_] { return c.now() / kMs; },
                .boot = "1"}),
        store(sqlite, members.config_.seed * 1000 + its.life * 100 + i),
        registry(store, options_of(config, its.life, members.config_)),
        roster(config, [](const std::string&) {}),
        heard_at(members.lives_.size()) {
    if (!members.lies_) store.heal();
  }

  bool has_peer(uint64_t id) const override { return host.node->has_peer(id); }
  bool add_peer(const PeerOptions& way, uint64_t epoch) override {
    const auto peer = static_cast<uint32_t>(way.id - 1);
    cluster.call(host, peer, epoch, [&](uint32_t) { return way.address; });
    return true;
  }
  void remove_peer(uint64_t id) override { host.node->remove_peer(id); }

  SimCluster& cluster;
  SimCluster::Host& host;
  const penstock::Config config;
  store::SqliteStore sqlite;
  FaultyStore store;
  Registry registry;
  Roster roster;
  std::vector<MemberEvent> news;  // not yet with the control thread
  std::map<uint64_t, uint64_t> epochs;
  std::vector<uint64_t> heard_at;  // by node: when it was last without a link, as it said
  uint64_t next_poll = 0;
  uint64_t next_tick = 0;
};

SimMembers::SimMembers(SimCluster& cluster, const Config& config)
    : cluster_(cluster),
      config_(config),
      folder_(fast_folder()),
      seats_(cluster.nodes()),
      lives_(cluster.nodes()),
      removed_(cluster.nodes()),
      cut_(cluster.nodes()) {
  cluster_.beside = [this] { poll(); };
}

SimMembers::~SimMembers() {
  cluster_.beside = nullptr;
}

std::unique_ptr<SimMembers::Seat> SimMembers::seat(uint32_t i) {
  lives_[i] = cluster_.host(i).life;
  auto s = std::make_unique<Seat>(*this, i, cluster_.host(i));
  s->store.cut(cut_[i]);
  s->next_poll = cluster_.now() + i % 16 * config_.poll_ns / 16;
  return s;
}

void SimMembers::start(uint32_t i) {
  cluster_.start(i);
  seats_[i] = seat(i);
}

void SimMembers::kill(uint32_t i) {
  seats_[i].reset();
  cluster_.kill(i);
}

void SimMembers::start_beside(uint32_t i) {
  old_.push_back(std::move(seats_[i]));
  cluster_.start_beside(i);
  seats_[i] = seat(i);
}

void SimMembers::end_old() {
  old_.clear();
  cluster_.end_old();
}

void SimMembers::leave(uint32_t i) {
  seats_[i]->registry.leave();
  kill(i);
}

bool SimMembers::remove(uint32_t i) {
  store::SqliteStore sqlite({.path = folder_.file("s.db"),
                             .now_ms = [this] { return cluster_.now() / kMs; },
                             .boot = "1"});
  const auto epoch = remove_member(sqlite, i + 1);
  if (epoch) removed_[i] = std::max(removed_[i], *epoch);
  return epoch.has_value();
}

void SimMembers::cut(uint32_t i, bool away) {
  cut_[i] = away;
  if (seats_[i] != nullptr) seats_[i]->store.cut(away);
}

void SimMembers::delay(uint32_t i, uint64_t until) {
  if (seats_[i] != nullptr) seats_[i]->next_poll = until;
}

void SimMembers::lie(bool lies) {
  lies_ = lies;
  for (auto& s : seats_)
    if (s != nullptr) lies ? s->store.lie() : s->store.heal();
  for (auto& s : old_)
    lies ? s->store.lie() : s->store.heal();
  for (uint32_t i = 0; i < seats_.size(); i++)
    cut(i, cut_[i]);
}

void SimMembers::wipe() {
  for (const char* part : kParts)
    std::filesystem::remove(folder_.file("s.db") + part);
}

void SimMembers::save() {
  for (const char* part : kParts) {
    std::filesystem::remove(folder_.file("saved") + part);
    std::error_code none;
    std::filesystem::copy_file(folder_.file("s.db") + part, folder_.file("saved") + part, none);
  }
}

bool SimMembers::rewind() {
  if (!std::filesystem::exists(folder_.file("saved"))) return false;
  wipe();
  for (const char* part : {"-wal", ""}) {
    std::error_code none;
    std::filesystem::copy_file(folder_.file("saved") + part, folder_.file("s.db") + part, none);
  }
  return true;
}

void SimMembers::stop() {
  old_.clear();
  for (auto& s : seats_)
    s.reset();
}

void SimMembers::poll() {
  for (auto& s : seats_)
    if (s != nullptr) poll(*s);
  for (auto& s : old_)
    poll(*s);
}

// The store's thread, and what the control thread makes of it, every 50 ms as in the daemon.
void SimMembers::poll(Seat& s) {
  const uint64_t now = cluster_.now();
  if (now >= s.next_poll) {
    s.next_poll = now + config_.poll_ns;
    auto events = s.registry.poll(now / kMs, std::chrono::milliseconds(0));
    for (const MemberEvent& e : events)
      note(s, e);
    s.news.insert(s.news.end(), events.begin(), events.end());
  }
  if (now < s.next_tick || now < s.host.stalled_until.back()) return;
  s.next_tick = now + Node::kTickNs;
  s.roster.take(std::exchange(s.news, {}));
  s.roster.call(s);
  const auto up = s.host.node->peers_up();
  for (uint64_t id = 1; id <= s.heard_at.size(); id++)
    if (!up.contains(id)) s.heard_at[id - 1] = now;
  s.registry.heard(up);
}

void SimMembers::note(Seat& s, const MemberEvent& e) {
  const auto name = [&] {
    return "\nnode " + std::to_string(s.host.index) + (s.host.old ? " (old)" : "") + " at " +
           std::to_string(cluster_.now() / kMs) + " ms: node " + std::to_string(e.member.id - 1);
  };
  if (e.kind == MemberEvent::kThere) {
    uint64_t& epoch = s.epochs[e.member.id];
    if (e.member.epoch < epoch) wrong_ += name() + " went back to an earlier life";
    if (e.member.epoch > lives_[e.member.id - 1]) wrong_ += name() + " is in a life to come";
    epoch = e.member.epoch;
  } else if (e.kind == MemberEvent::kGone) {
    gone_++;
    const uint64_t heard = cluster_.now() - s.heard_at[e.member.id - 1];
    if (heard > 2 * static_cast<uint64_t>(config_.lease.count()) * kMs)
      wrong_ += name() + " was said to be gone, and was heard";
  } else if (removed_[e.member.id - 1] < e.member.epoch) {
    wrong_ += name() + " was said to be removed, and nobody did that";
  }
}

std::string SimMembers::disagreement() const {
  std::string text;
  const auto say = [&](const Seat& s, const std::string& what) {
    if (text.size() < 2000)
      text += "\nnode " + std::to_string(s.host.index) + (s.host.old ? " (old) " : " ") + what;
  };
  for (const auto& s : seats_) {
    if (s == nullptr) continue;
    const auto up = s->host.node->peers_up();
    const auto& known = s->roster.known();
    if (!s->registry.registered()) say(*s, "is not registered: " + s->registry.trouble());
    for (uint32_t i = 0; i < seats_.size(); i++) {
      if (i == s->host.index) continue;
      const bool runs = seats_[i] != nullptr;
      const auto at = known.find(i + 1);
      if ((at != known.end() ? at->second.epoch : 0) != (runs ? lives_[i] : 0))
        say(*s, "has node " + std::to_string(i) + " in life " +
                    std::to_string(at != known.end() ? at->second.epoch : 0) + " instead of " +
                    std::to_string(runs ? lives_[i] : 0));
      if (up.contains(i + 1) != runs)
        say(*s, (runs ? "has no link to node " : "has a link to node ") + std::to_string(i));
    }
  }
  for (const auto& s : old_) {
    if (s->registry.registered()) say(*s, "is registered");
    if (!s->host.node->peers_up().empty()) say(*s, "has links");
  }
  return text;
}

}  // namespace penstock::test
