#include "tests/support/cluster_run.h"

#include <algorithm>

#include "tests/support/cluster_plan.h"
#include "tests/support/sim_cluster.h"

namespace penstock::test {
namespace {

constexpr uint64_t kMs = 1'000'000;
// A neighbour's address may be that of an old life until it is asked for again, after 30 s.
constexpr uint64_t kRefind = 60'000 * kMs;

class Run {
 public:
  explicit Run(uint64_t seed)
      : r_(seed * 7 + 1),
        members_(seed * 7 + 2),
        devices_(seed * 7 + 3),
        paths_(seed * 7 + 4),
        cluster_(config(seed)) {}

  ClusterOutcome run() {
    begin();
    trouble();
    end();
    return std::move(out_);
  }

 private:
  SimCluster::Config config(uint64_t seed);
  void begin();
  void trouble();
  void end();
  void strike();
  void heal();
  void harm_port();
  void harm_node();
  void harm_client();
  void change_members();
  void harm_device();
  void add_client();
  void count(Fault f, uint64_t n = 1) { out_.faults[static_cast<size_t>(f)] += n; }
  uint32_t any_node() { return static_cast<uint32_t>(r_.below(cluster_.nodes())); }
  SimPort* any_port() {
    const uint32_t i = any_node();
    if (!cluster_.runs(i)) return nullptr;
    return cluster_.host(i).ports[r_.below(cluster_.host(i).ports.size())];
  }

  Random r_;
  Random members_;  // so that the others are as without
  Random devices_;
  Random paths_;
  Plan plan_{};
  SimCluster::Config config_;
  SimCluster cluster_;
  std::vector<std::pair<uint64_t, uint32_t>> dead_;  // until when, which
  ClusterOutcome out_;
};

SimCluster::Config Run::config(uint64_t seed) {
  SimCluster::Config c;
  c.seed = seed;
  c.nodes = pick(r_, {2U, 3U, 3U, 4U});
  c.workers = pick(r_, {1U, 1U, 2U});
  c.turn_ns = pick(r_, {2'000U, 10'000U});
  c.poll_ns = pick(r_, {10'000U, 100'000U});
  c.act_ns = pick(r_, {100'000U, 400'000U, 1'000'000U});
  c.port.max_frame = pick(r_, {1514U, 1514U, 9014U});
  c.port.chains = r_.chance(70);
  c.port.tx_room = pick(r_, {4U, 64U, 1024U});
  c.port.tx_ns = pick(r_, {0U, 0U, 20'000U});
  c.port.rx_queue = pick(r_, {16U, 256U, 4096U});
  c.port.buffers = pick(r_, {128U, 4096U});
  c.port.gbps = pick(r_, {0U, 1U, 100U});
  if (c.port.gbps != 0) {
    c.port.switch_room = pick(r_, {size_t{20'000}, size_t{1} << 20});
    c.port.mark_at = r_.chance(50) ? c.port.switch_room / 4 : SIZE_MAX;
  }
  c.port.faults.delay_ns = pick(r_, {1'000U, 20'000U});
  c.link.window = pick(r_, {8U, 64U, 256U});
  c.link.congestion = r_.chance(60);
  c.link.source_ports = pick(r_, {1U, 1U, 4U});
  for (uint64_t n = r_.below(4); n > 0; n--)
    c.ways.push_back({.delay_ns = r_.below(10'000)});
  c.link.min_pto_ns = pick(r_, {100'000U, 1'000'000U});
  c.lane.ring_log2 = pick(r_, {3U, 6U});
  c.lane.arena_log2 = pick(r_, {16U, 17U});
  c.mirror.ring_log2 = pick(r_, {2U, 5U});
  c.mirror.arena_log2 = pick(r_, {13U, 15U});
  c.inbox.ring_log2 = pick(r_, {2U, 5U});
  c.inbox.arena_log2 = pick(r_, {13U, 15U});
  plan_.length_ns = pick(r_, {100U, 200U, 500U}) * kMs;
  plan_.between_ns = pick(r_, {3U, 10U, 30U}) * kMs;
  plan_.network = pick(r_, {0U, 50U, 90U});
  plan_.nodes = pick(r_, {0U, 0U, 5U, 20U});
  plan_.partitions = r_.chance(50);
  plan_.removals = pick(members_, {0U, 10U, 40U});
  // Without partitions and deaths nobody is to be given up, and so nothing is to be missed.
  const bool calm = plan_.nodes == 0 && !plan_.partitions;
  c.link.dead_after_ns = calm ? 10'000 * kMs : pick(r_, {20U, 60U, 300U}) * kMs;
  if (c.seed % 3 != 0) c.chain_from_bytes = 1'500;  // just above what goes whole
  plan_.chains = give_devices(c, devices_);
  c.put_wait_ns = pick(paths_, {0U, 20U, 200U}) * kMs;
  plan_.zero_copy = c.rails != 0 ? pick(paths_, {0U, 30U, 100U}) : 0;
  config_ = c;
  return c;
}

void Run::begin() {
  const uint64_t clients = 2 + r_.below(5);
  for (uint64_t i = 0; i < clients; i++)
    add_client();
  cluster_.pace.most_bytes = pick(r_, {200U, 1'000U, 1'000U, 6'000U, 40'000U});
  cluster_.pace.publish = pick(r_, {1U, 3U, 8U});
  cluster_.pace.eager = pick(r_, {2U, 5U, 20U});
  cluster_.pace.read = pick(r_, {2U, 16U});
  cluster_.pace.release = pick(r_, {20U, 100U});
  if (plan_.chains) {
    cluster_.pace.most_bytes = 12'000;
    for (uint32_t i = 0; i < config_.nodes; i++)
      if (cluster_.runs(i)) cluster_.add_client(i).subscribe(ClusterLedger::Mode::kReliable, "#");
  }
  if (r_.chance(80)) cluster_.run_until([&] { return cluster_.ledger().connected(); }, 500 * kMs);
}

// Everybody does a bit of everything.
void Run::add_client() {
  const uint32_t i = any_node();
  if (!cluster_.runs(i)) return;
  SimClient& c = cluster_.add_client(i);
  const uint64_t parts = 1 + r_.below(3);
  for (uint64_t k = 0; k < parts; k++) {
    switch (r_.below(5)) {
      case 0:
      case 1:
        c.declare(r_.chance(40));
        break;
      case 2:
        c.subscribe(ClusterLedger::Mode::kMember, pick(r_, {"w.#", "w.0", "*.1"}));
        break;
      case 3:
        if (r_.chance(30)) {
          c.subscribe(ClusterLedger::Mode::kLossy, pick(r_, {"w.*", "t.1"}));
        } else {
          c.subscribe(ClusterLedger::Mode::kReliable, pick(r_, {"w.*", "t.1"}),
                      paths_.chance(plan_.zero_copy));
        }
        break;
      default:
        c.subscribe(ClusterLedger::Mode::kReliable, pick(r_, {"#", "t.#", "t.0"}),
                    paths_.chance(plan_.zero_copy));
    }
  }
}

void Run::trouble() {
  const uint64_t until = cluster_.now() + plan_.length_ns;
  while (cluster_.now() < until) {
    cluster_.run_for(plan_.between_ns / 2 + r_.below(plan_.between_ns));
    for (size_t k = 0; k < dead_.size(); k++) {
      if (cluster_.now() < dead_[k].first) continue;
      cluster_.start(dead_[k].second);
      dead_.erase(dead_.begin() + static_cast<std::ptrdiff_t>(k--));
    }
    if (r_.chance(20)) heal();
    strike();
    if (members_.chance(plan_.removals)) change_members();
    if (config_.rails != 0 && devices_.chance(50)) harm_device();
  }
}

void Run::strike() {
  const uint64_t what = r_.below(100);
  if (what < plan_.network) {
    harm_port();
  } else if (what < plan_.network + plan_.nodes) {
    harm_node();
  } else {
    harm_client();
  }
}

void Run::harm_port() {
  SimPort* port = any_port();
  if (port == nullptr) return;
  SimFaults& f = port->faults;
  switch (r_.below(plan_.partitions ? 6 : 4)) {
    case 0:
    case 1:
    case 2:
      f.lose_run = pick(r_, {1U, 1U, 3U, 8U});
      f.lose = static_cast<uint32_t>(r_.below(30 * kPercent)) / f.lose_run;
      f.duplicate = static_cast<uint32_t>(r_.below(20 * kPercent));
      f.damage = static_cast<uint32_t>(r_.below(5 * kPercent));
      f.forge = static_cast<uint32_t>(r_.below(2 * kPercent));
      f.reorder = static_cast<uint32_t>(r_.below(20 * kPercent));
      f.reorder_ns = pick(r_, {5'000U, 100'000U});
      count(Fault::kLossyPort);
      break;
    case 3:
      f.delay_ns = pick(r_, {1'000U, 20'000U, 300'000U});
      f.jitter_ns = pick(r_, {0U, 1'000U, 50'000U});
      port->set_rate(pick(r_, {0U, 1U, 10U}));
      count(Fault::kRate);
      break;
    case 4:
      if (r_.chance(50))
        f.swallow_above = 200;
      else
        f.lose = 100 * kPercent, f.lose_run = 1;
      count(Fault::kBlackHole);
      break;
    default: {
      const uint32_t a = any_node();
      const uint32_t b = any_node();
      if (a == b) break;
      cluster_.join(a, b, false);
      count(Fault::kPartition);
      if (!r_.chance(50)) break;
      cluster_.join(b, a, false);
      count(Fault::kPartition);
    }
  }
}

void Run::harm_node() {
  const uint32_t i = any_node();
  if (!cluster_.runs(i)) return;
  switch (r_.below(5)) {
    case 0:
    case 1: {
      const uint64_t until =
          cluster_.now() + r_.below(std::min(config_.link.dead_after_ns, 100 * kMs) * 2);
      const auto part = static_cast<uint32_t>(r_.below(config_.workers + 2));
      for (uint32_t p = 0; p <= config_.workers; p++)
        if (part == p || part > config_.workers) cluster_.stall(i, p, until);
      count(Fault::kStall);
      break;
    }
    case 2:
      cluster_.kill(i);
      dead_.emplace_back(cluster_.now() + r_.below(100 * kMs), i);
      count(Fault::kKill);
      break;
    case 3:
      cluster_.kill(i);
      cluster_.start(i);
      count(Fault::kRestart);
      break;
    default:
      if (!cluster_.old_hosts().empty()) {
        cluster_.end_old();
        break;
      }
      cluster_.start_beside(i);
      count(Fault::kZombie);
  }
}

// By one of the two, or by both.
void Run::change_members() {
  const auto a = static_cast<uint32_t>(members_.below(cluster_.nodes()));
  const auto b = static_cast<uint32_t>(members_.below(cluster_.nodes()));
  const bool member = members_.chance(50);
  const bool both = members_.chance(50);
  if (a == b) return;
  if (cluster_.runs(a)) cluster_.set_member(a, b, member);
  if (cluster_.runs(b) && both) cluster_.set_member(b, a, member);
  if (!member) count(Fault::kRemoval);
}

void Run::harm_device() {
  const auto i = static_cast<uint32_t>(devices_.below(cluster_.nodes()));
  if (!cluster_.runs(i)) return;
  const auto& devices = cluster_.host(i).fabrics;
  SimFabric& f = *devices[devices_.below(devices.size())];
  if (devices_.chance(2)) {
    f.die();
    return count(Fault::kRdmaDevice);
  }
  if (devices_.chance(20)) {
    f.set_port(!f.port_up());
    return count(Fault::kRdmaPort);
  }
  f.break_next(FabricCode::kTimeout, devices_.chance(50));
  count(Fault::kRequest);
}

void Run::harm_client() {
  const uint32_t i = any_node();
  if (!cluster_.runs(i)) return;
  auto& clients = cluster_.host(i).clients;
  const uint64_t what = r_.below(4);
  if (clients.empty() || what >= 2) {
    if (clients.size() < 4) add_client();
    count(Fault::kClientJoins);
  } else if (what == 0) {
    cluster_.remove_client(i, r_.below(clients.size()));
    count(Fault::kClientDies);
  } else {
    clients[r_.below(clients.size())]->leave_one();
    count(Fault::kClientLeaves);
  }
}

void Run::heal() {
  for (uint32_t a = 0; a < cluster_.nodes(); a++) {
    if (!cluster_.runs(a)) continue;
    for (SimPort* p : cluster_.host(a).ports) {
      p->faults = config_.port.faults;
      p->set_rate(config_.port.gbps);
    }
    for (SimFabric* f : cluster_.host(a).fabrics)
      if (!f->port_up()) f->set_port(true);
    for (uint32_t b = 0; b < cluster_.nodes(); b++) {
      if (a != b) cluster_.join(a, b, true);
      cluster_.set_member(a, b, true);
    }
  }
}

// No more faults: all nodes find each other, all clients get their answers, and what is published
// then gets to everybody who wants it. At rest the books balance.
void Run::end() {
  for (const auto& [until, i] : dead_)
    cluster_.start(i);
  cluster_.end_old();
  for (uint32_t i = 0; i < cluster_.nodes(); i++)
    for (uint32_t p = 0; p <= config_.workers; p++)
      cluster_.stall(i, p, 0);
  heal();
  const uint32_t publish = std::exchange(cluster_.pace.publish, 0);
  cluster_.finish(0);
  ClusterLedger& ledger = cluster_.ledger();
  // Who is up with a life that has ended finds out.
  cluster_.run_for(std::min(2 * config_.link.dead_after_ns, 1'000 * kMs));
  out_.drained =
      cluster_.run_until([&] { return ledger.connected() && cluster_.settled(); }, kRefind);
  out_.drained = cluster_.deliver_the_rest(publish) && out_.drained;
  out_.trace = cluster_.trace();
  out_.counts = ledger.counts();
  out_.wrong = cluster_.books();
  out_.relayed = cluster_.relayed();
  out_.text = ledger.text() + cluster_.state();
  out_.held = cluster_.stop();
  out_.put = cluster_.put_bytes();
  out_.striped = cluster_.striped();
  out_.passed_on = cluster_.passed_on();
  out_.revoked = cluster_.revoked();
  out_.misuse = cluster_.misuse();
  const SimFaultCounts done = cluster_.net().done();
  count(Fault::kLost, done.lost);
  count(Fault::kDoubled, done.doubled);
  count(Fault::kDamaged, done.damaged);
  count(Fault::kForged, done.forged);
  count(Fault::kReordered, done.reordered);
}

}  // namespace

const char* text(Fault f) {
  static constexpr std::array<const char*, kFaults> kTexts = {"lossy ports",
                                                              "black holes",
                                                              "partitions",
                                                              "rates and delays",
                                                              "stalls",
                                                              "kills",
                                                              "restarts",
                                                              "zombies",
                                                              "removals",
                                                              "clients killed",
                                                              "clients left",
                                                              "clients new",
                                                              "requests of RDMA broken",
                                                              "ports of RDMA",
                                                              "devices gone",
                                                              "frames lost",
                                                              "doubled",
                                                              "damaged",
                                                              "forged",
                                                              "reordered"};
  return kTexts[static_cast<size_t>(f)];
}

ClusterOutcome run_cluster(uint64_t seed) {
  return Run(seed).run();
}

}  // namespace penstock::test
