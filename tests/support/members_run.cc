#include "tests/support/members_run.h"

#include <functional>

#include "tests/support/sim_members.h"

namespace penstock::test {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kTrouble = 2'000 * kMs;
constexpr uint64_t kAgree = 10'000 * kMs;

template <class T, size_t N>
T pick(Random& r, const T (&of)[N]) {
  return of[r.below(N)];
}

class Run {
 public:
  explicit Run(uint64_t seed)
      : r_(seed * 11 + 5),
        config_(config(seed)),
        cluster_(config_),
        members_(cluster_, {.seed = seed}) {}

  MembersOutcome run() {
    begin();
    trouble();
    end();
    return std::move(out_);
  }

 private:
  SimCluster::Config config(uint64_t seed);
  void begin();
  void trouble();
  void strike();
  void harm_node();
  void harm_net();
  void harm_store();
  void harm_client();
  void end();
  void start(uint32_t i);
  void add_client(uint32_t i);
  void count(Mishap m) { out_.mishaps[static_cast<size_t>(m)]++; }
  uint32_t any() { return static_cast<uint32_t>(r_.below(config_.nodes)); }
  void later(uint64_t most_ms, std::function<void()> what) {
    later_.emplace_back(cluster_.now() + r_.below(most_ms * kMs), std::move(what));
  }
  void cut_off(const std::vector<bool>& part, bool joined);

  Random r_;
  SimCluster::Config config_;
  SimCluster cluster_;
  SimMembers members_;
  std::vector<std::pair<uint64_t, std::function<void()>>> later_;
  MembersOutcome out_;
};

SimCluster::Config Run::config(uint64_t seed) {
  SimCluster::Config c = many_nodes(seed, seed % 4 == 3 ? 64 : pick(r_, {8U, 16U, 32U}));
  c.link.dead_after_ns = pick(r_, {300U, 500U}) * kMs;
  return c;
}

void Run::begin() {
  cluster_.pace = {.publish = 2, .eager = 20, .read = 16, .release = 70, .most_bytes = 400};
  for (uint64_t n = 2 + r_.below(config_.nodes - 1); n > 0; n--)
    start(any());
  for (int k = 0; k < 8; k++)
    add_client(any());
  cluster_.run_for(r_.below(500) * kMs);
}

void Run::start(uint32_t i) {
  if (cluster_.runs(i)) return;
  members_.start(i);
  if (r_.chance(20)) add_client(i);
  count(Mishap::kJoin);
}

void Run::add_client(uint32_t i) {
  if (!cluster_.runs(i) || cluster_.host(i).clients.size() == 2) return;
  SimClient& c = cluster_.add_client(i);
  switch (r_.below(4)) {
    case 0:
      c.declare(r_.chance(40));
      break;
    case 1:
      c.subscribe(ClusterLedger::Mode::kMember, pick(r_, {"w.#", "w.0"}));
      break;
    default:
      c.subscribe(ClusterLedger::Mode::kReliable, pick(r_, {"#", "t.#", "t.0"}));
      if (r_.chance(50)) c.declare(false);
  }
}

void Run::trouble() {
  const uint64_t until = cluster_.now() + kTrouble;
  const uint64_t between = pick(r_, {10U, 20U, 40U}) * kMs;
  while (cluster_.now() < until) {
    cluster_.run_for(between / 2 + r_.below(between));
    for (size_t k = 0; k < later_.size(); k++) {
      if (cluster_.now() < later_[k].first) continue;
      later_[k].second();
      later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(k--));
    }
    strike();
  }
}

void Run::strike() {
  const uint64_t what = r_.below(100);
  if (what < 30)
    harm_node();
  else if (what < 45)
    start(any());
  else if (what < 60)
    harm_net();
  else if (what < 85)
    harm_store();
  else
    harm_client();
}

void Run::harm_node() {
  const uint32_t i = any();
  if (!cluster_.runs(i)) return;
  switch (r_.below(6)) {
    case 0:
      members_.kill(i);
      count(Mishap::kKill);
      later(2'000, [this, i] { start(i); });
      break;
    case 1:
      members_.kill(i);
      members_.start(i);
      count(Mishap::kRestart);
      break;
    case 2:
      members_.start_beside(i);
      count(Mishap::kZombie);
      break;
    case 3:
      members_.leave(i);
      count(Mishap::kLeave);
      break;
    case 4:
      if (members_.remove(i)) count(Mishap::kRemoval);
      break;
    default:
      for (uint32_t part = 0; part <= config_.workers; part++)
        cluster_.stall(i, part, cluster_.now() + r_.below(2 * config_.link.dead_after_ns));
      count(Mishap::kStall);
  }
}

void Run::cut_off(const std::vector<bool>& part, bool joined) {
  for (uint32_t a = 0; a < config_.nodes; a++)
    for (uint32_t b = 0; b < config_.nodes; b++)
      if (part[a] != part[b]) cluster_.join(a, b, joined);
}

void Run::harm_net() {
  if (r_.chance(50)) {
    const uint32_t a = any();
    const uint32_t b = any();
    if (a == b) return;
    cluster_.join(a, b, false);
    count(Mishap::kOneWay);
    later(1'500, [this, a, b] { cluster_.join(a, b, true); });
    return;
  }
  std::vector<bool> part(config_.nodes);
  const auto percent = static_cast<uint32_t>(1 + r_.below(50));
  for (uint32_t i = 0; i < config_.nodes; i++)
    part[i] = r_.chance(percent);
  cut_off(part, false);
  count(Mishap::kSplit);
  later(1'500, [this, part] { cut_off(part, true); });
}

void Run::harm_store() {
  switch (r_.below(7)) {
    case 0:
    case 1: {
      const uint32_t one = any();
      const uint32_t percent = pick(r_, {0U, 50U, 100U});
      for (uint32_t i = 0; i < config_.nodes; i++) {
        if (i != one && !r_.chance(percent)) continue;
        members_.cut(i, true);
        later(1'500, [this, i] { members_.cut(i, false); });
      }
      count(Mishap::kStoreCut);
      break;
    }
    case 2:
      members_.delay(any(), cluster_.now() + r_.below(600) * kMs);
      count(Mishap::kStoreSlow);
      break;
    case 3:
      members_.lie(true);
      later(600, [this] { members_.lie(false); });
      count(Mishap::kStoreLies);
      break;
    case 4:
      members_.save();
      break;
    case 5:
      if (members_.rewind()) count(Mishap::kStoreRewound);
      break;
    default:
      if (!r_.chance(30)) break;
      members_.wipe();
      count(Mishap::kStoreWiped);
  }
}

void Run::harm_client() {
  const uint32_t i = any();
  if (!cluster_.runs(i)) return;
  auto& clients = cluster_.host(i).clients;
  count(Mishap::kClient);
  if (clients.empty() || r_.chance(60))
    add_client(i);
  else if (r_.chance(50))
    cluster_.remove_client(i, r_.below(clients.size()));
  else
    clients[r_.below(clients.size())]->leave_one();
}

void Run::end() {
  for (const auto& [when, what] : later_)
    what();
  cut_off(std::vector<bool>(config_.nodes), true);
  for (uint32_t i = 0; i < config_.nodes; i++) {
    for (uint32_t b = 0; b < config_.nodes; b++)
      if (i != b) cluster_.join(i, b, true);
    members_.cut(i, false);
    members_.delay(i, cluster_.now());
    // An operator who has removed a node starts it anew.
    if (cluster_.runs(i) && members_.is_removed(i)) members_.kill(i);
    start(i);
    for (uint32_t part = 0; part <= config_.workers; part++)
      cluster_.stall(i, part, 0);
  }
  members_.lie(false);
  cluster_.pace.publish = 0;
  ClusterLedger& ledger = cluster_.ledger();
  cluster_.finish(0);
  const uint64_t healed = cluster_.now();
  do {
    cluster_.run_for(50 * kMs);
    out_.disagreement = members_.disagreement();
  } while (!out_.disagreement.empty() && cluster_.now() < healed + kAgree);
  out_.agreed_ms = (cluster_.now() - healed) / kMs;
  members_.end_old();
  cluster_.run_for(config_.link.dead_after_ns);
  out_.drained =
      cluster_.run_until([&] { return ledger.connected() && cluster_.settled(); }, 5'000 * kMs);
  out_.drained = cluster_.deliver_the_rest(4) && out_.drained;
  out_.trace = cluster_.net().trace();
  out_.counts = ledger.counts();
  out_.gone = members_.gone();
  out_.wrong = members_.wrong() + cluster_.books();
  out_.text = ledger.text() + cluster_.state();
  out_.nodes = config_.nodes;
  members_.stop();
  out_.held = cluster_.stop();
}

}  // namespace

const char* text(Mishap m) {
  static constexpr std::array<const char*, kMishaps> kTexts{
      "joins",   "left",      "killed", "restarts", "zombies", "removals", "stalls", "splits",
      "one way", "store cut", "slow",   "lies",     "wiped",   "rewound",  "clients"};
  return kTexts[static_cast<size_t>(m)];
}

SimCluster::Config many_nodes(uint64_t seed, uint32_t nodes) {
  SimCluster::Config c;
  c.seed = seed;
  c.nodes = nodes;
  c.strangers = true;
  c.turn_ns = 1'000'000;
  c.poll_ns = 2'000'000;
  c.act_ns = 4'000'000;
  c.port.buffers = 512;
  c.port.rx_queue = 512;
  c.port.faults.delay_ns = 20'000;
  c.link.max_lanes = 64;
  c.link.min_pto_ns = 10 * kMs;
  c.link.dead_after_ns = 500 * kMs;
  c.lane = {.ring_log2 = 5, .arena_log2 = 15, .topics = 4};
  return c;
}

MembersOutcome run_members(uint64_t seed) {
  return Run(seed).run();
}

}  // namespace penstock::test
