#include "tests/support/sim_cluster.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace penstock::test {
namespace {

constexpr uint16_t kUdp = 9470;
constexpr size_t kLogLines = 40;

}  // namespace

IpAddress SimCluster::address(uint32_t node, uint32_t worker, uint32_t life) {
  return *parse_ip("10." + std::to_string(9 + life) + "." + std::to_string(worker) + "." +
                   std::to_string(node + 1));
}

// Clients first, then lanes, then the ports that know them.
SimCluster::Host::~Host() {
  clients.clear();
  for (SimPort* p : ports)
    p->stop();
  node.reset();
  nets.clear();
}

SimCluster::SimCluster(const Config& config)
    : config_(config),
      random_(config.seed * 3),
      net_(config.seed),
      fabrics_(config.seed * 5 + 1),
      ledger_(config.seed, config.nodes, config.workers,
              std::min(config.mirror.arena_size(), config.inbox.arena_size())),
      hosts_(config.nodes),
      lives_(config.nodes),
      joined_(config.nodes * config.nodes, true) {
  net_.ways = config.ways;
  net_.advance(now_);
  fabrics_.advance(now_);
  ledger_.set_lingers(
      [this](uint32_t node, std::string_view filter) { return group_lingers(node, filter); });
  for (uint32_t i = 0; i < config.nodes && !config.strangers; i++)
    start(i);
}

SimCluster::~SimCluster() = default;

void SimCluster::start(uint32_t i) {
  ledger_.restarted(i, ++lives_[i]);
  hosts_[i] = make(i, lives_[i]);
  part_ports();
}

// Its devices end with it, and it is seen what they did.
void SimCluster::close(Host& host) {
  for (SimFabric* f : host.fabrics) {
    f->die();
    misuse_ += f->used_after_deregistration() + f->stats().receiver_not_ready.read();
  }
  if (!host.fabrics.empty())
    for (const auto& link : nlohmann::json::parse(host.node->show("links"))) {
      put_bytes_ += link["rdma"]["bytes_sent"].get<uint64_t>();
      striped_ += link["rdma"]["striped"].get<uint64_t>();
      passed_on_ += link["rdma"]["passed_on"].get<uint64_t>();
      revoked_ += link["rdma"]["places_revoked"].get<uint64_t>();
    }
}

void SimCluster::kill(uint32_t i) {
  close(*hosts_[i]);
  hosts_[i].reset();
  ledger_.restarted(i, lives_[i] + 1);
}

void SimCluster::start_beside(uint32_t i) {
  hosts_[i]->old = true;
  old_.push_back(std::move(hosts_[i]));
  start(i);
}

void SimCluster::end_old() {
  for (const auto& h : old_)
    close(*h);
  old_.clear();
}

std::unique_ptr<SimCluster::Host> SimCluster::make(uint32_t i, uint32_t life) {
  auto host = std::make_unique<Host>();
  host->index = i;
  host->life = life;
  host->stalled_until.resize(config_.workers + 1);
  host->members.assign(config_.nodes, !config_.strangers);
  NodeConfig c;
  c.id = i + 1;
  c.epoch = life;
  c.name = "n" + std::to_string(i);
  c.lane = config_.lane;
  c.mirror = config_.mirror;
  c.inbox = config_.inbox;
  c.chain_from_bytes = config_.chain_from_bytes;
  c.put_from_bytes = config_.put_from_bytes;
  c.stripe_from_bytes = config_.stripe_from_bytes;
  c.put_wait_ns = config_.put_wait_ns;
  c.workers.assign(config_.workers, IdleConfig{});
  const auto log = [this, h = host.get()](std::string_view line) {
    if (!h->old) ledger_.heard(h->index, line);
    if (log_.size() == kLogLines) log_.erase(log_.begin());
    log_.push_back(std::to_string(now_) + (h->old ? " old " : " ") + std::to_string(h->index) +
                   ": " + std::string(line));
  };
  std::string error;
  host->node = Node::create(c, log, error);
  must(host->node != nullptr);
  for (uint32_t w = 0; w < config_.workers; w++) {
    SimPort& port = net_.add_port(config_.port);
    host->ports.push_back(&port);
    NetPort::Config n;
    n.station.mac.bytes = port.info().mac;
    n.station.v4 = address(i, w, config_.strangers ? life : 0);
    n.udp_port = kUdp;
    n.cookie_seed = config_.seed + 1;  // 0 would be another each time
    n.worker = w;
    n.workers = config_.workers;
    host->nets.push_back(std::make_unique<NetPort>(port, n));
    host->node->add_port({.name = "sim",
                          .device = "sim",
                          .address = "",
                          .mtu = 1500,
                          .worker = w,
                          .queue = w,
                          .net = host->nets.back().get()});
    const uint32_t rails = i == 1 ? std::min(config_.rails, 2U) : config_.rails;
    for (uint32_t d = 0; d < rails; d++) {
      host->fabrics.push_back(&fabrics_.add(config_.fabric));
      host->node->add_fabric("sim" + std::to_string(d), w, *host->fabrics.back(), 1'000'000'000);
    }
  }
  for (uint32_t peer = 0; peer < config_.nodes; peer++)
    if (peer != i && host->members[peer]) call(*host, peer, 0);
  return host;
}

void SimCluster::call(Host& host, uint32_t peer, uint64_t least,
                      const std::function<IpAddress(uint32_t worker)>& where) {
  std::vector<PathRecord> paths(config_.workers);
  for (uint32_t w = 0; w < config_.workers; w++) {
    LinkPath::Config c;
    c.link = config_.link;
    c.link.self_id = host.index + 1;
    c.link.self_epoch = host.life;
    c.link.peer_id = peer + 1;
    c.link.path = static_cast<uint16_t>(w);
    c.link.worker = static_cast<uint8_t>(w);
    c.link.index = peer;
    c.link.seed = ((config_.seed * 64 + host.index) * 64 + peer) * 1024 + host.life +
                  uint64_t{host.calls} * 1'000'003;
    c.remote = where(w);
    c.local_udp = c.remote_udp = kUdp;
    paths[w].worker = w;
    paths[w].net = host.nets[w].get();
    paths[w].path = std::make_unique<LinkPath>(c, host.ports[w]->info().max_frame);
  }
  host.node->add_peer(peer + 1, "n" + std::to_string(peer), std::move(paths), least);
  host.calls++;
}

void SimCluster::set_member(uint32_t i, uint32_t peer, bool member) {
  Host& h = *hosts_[i];
  if (i == peer || h.members[peer] == member) return;
  h.members[peer] = member;
  if (!member) h.node->remove_peer(peer + 1, [&h] { h.gone++; });
}

void SimCluster::join(uint32_t from, uint32_t to, bool joined) {
  joined_[from * config_.nodes + to] = joined;
  part_ports();
}

// Ports of new lives stand in the place of those before them.
void SimCluster::part_ports() {
  for (const auto& a : hosts_)
    for (const auto& b : hosts_)
      if (a != nullptr && b != nullptr && a != b)
        for (const SimPort* from : a->ports)
          for (const SimPort* to : b->ports)
            net_.join(*from, *to, joined(a->index, b->index));
}

SimClient& SimCluster::add_client(uint32_t i) {
  Host& h = *hosts_[i];
  h.clients.push_back(std::make_unique<SimClient>(ledger_, SimClient::Where{*h.node, i, h.life},
                                                  config_.seed * 1000 + ++clients_, now_));
  h.next_act.push_back(now_);
  return *h.clients.back();
}

void SimCluster::remove_client(uint32_t i, size_t which) {
  Host& h = *hosts_[i];
  faults_ += h.clients[which]->text();
  h.clients.erase(h.clients.begin() + static_cast<std::ptrdiff_t>(which));
  h.next_act.erase(h.next_act.begin() + static_cast<std::ptrdiff_t>(which));
}

uint32_t SimCluster::turn(Host& h) {
  uint32_t work = 0;
  for (uint32_t w = 0; w < config_.workers; w++)
    if (now_ >= h.stalled_until[w]) work += h.node->worker(w).turn(now_);
  if (now_ >= h.next_poll && now_ >= h.stalled_until[config_.workers]) {
    const uint32_t polled = h.node->poll(now_);
    for (uint32_t peer = 0; peer < config_.nodes; peer++)
      if (peer != h.index && h.members[peer] && !h.node->has_peer(peer + 1)) {
        // Some know from a store which life it is in.
        const bool known = h.calls >= config_.nodes && config_.seed % 2 == 0;
        call(h, peer, known ? lives_[peer] : 0);
      }
    h.poll_pause = polled != 0 ? config_.poll_ns : std::min(h.poll_pause * 2, kMostPause);
    h.next_poll = now_ + h.poll_pause;
    work += polled;
    for (const auto& c : h.clients)
      c->hear();
  }
  for (size_t i = 0; i < h.clients.size(); i++) {
    if (now_ < h.next_act[i]) continue;
    const uint32_t done = h.clients[i]->turn(pace);
    if (done != 0) h.next_poll = std::min(h.next_poll, now_ + config_.poll_ns);
    const uint64_t act_ns = pace.publish != 0 ? config_.act_ns : kMostPause;
    h.next_act[i] = now_ + act_ns / 2 + random_.below(act_ns * 3 / 2);
    work += done;
  }
  return work;
}

uint64_t SimCluster::next_event(const Host& h) const {
  uint64_t at = std::max(h.next_poll, h.stalled_until[config_.workers]);
  for (uint32_t w = 0; w < config_.workers; w++)
    at = std::min(at, std::max(h.nets[w]->next_deadline(now_), h.stalled_until[w]));
  for (const uint64_t act : h.next_act)
    at = std::min(at, act);
  return at;
}

void SimCluster::step() {
  net_.advance(now_);
  fabrics_.advance(now_);
  if (beside) beside();
  uint32_t work = 0;
  for (const auto& h : hosts_)
    if (h != nullptr) work += turn(*h);
  for (const auto& h : old_)
    work += turn(*h);
  uint64_t next = now_ + config_.turn_ns;
  if (work == 0) {
    uint64_t event = std::min(net_.next_event(), fabrics_.next_event());
    for (const auto& h : hosts_)
      if (h != nullptr) event = std::min(event, next_event(*h));
    for (const auto& h : old_)
      event = std::min(event, next_event(*h));
    next = std::clamp(event, next, now_ + kMostPause);
  }
  now_ = next;
}

bool SimCluster::run_until(const std::function<bool()>& done, uint64_t limit_ns) {
  const uint64_t end = now_ + limit_ns;
  while (!done()) {
    if (now_ >= end) return false;
    step();
  }
  return true;
}

void SimCluster::run_for(uint64_t ns) {
  const uint64_t end = now_ + ns;
  while (now_ < end)
    step();
}

void SimCluster::finish(uint64_t messages) {
  for (const auto& h : hosts_)
    for (size_t c = 0; h != nullptr && c < h->clients.size(); c++)
      h->clients[c]->finish(messages);
}

bool SimCluster::deliver_the_rest(uint32_t publish) {
  constexpr uint64_t kMs = 1'000'000;
  run_for(200 * kMs);  // what was put off is asked again
  ledger_.begin_end();
  pace.publish = publish;
  pace.eager = 100;
  finish(5);
  const bool done = run_until([&] { return settled() && ledger_.complete(); }, 20'000 * kMs);
  pace.release = 100;
  for (int i = 0; i < 100 && (i == 0 || !books().empty()); i++)
    run_for(60 * kMs);
  ledger_.close();
  return done;
}

bool SimCluster::every_client(const std::function<bool(const SimClient&)>& holds) const {
  for (const auto& h : hosts_)
    if (h != nullptr && !std::all_of(h->clients.begin(), h->clients.end(),
                                     [&](const auto& c) { return holds(*c); }))
      return false;
  return true;
}

bool SimCluster::group_lingers(uint32_t node, std::string_view filter) const {
  size_t inboxes = 0;
  for (const auto& h : hosts_) {
    if (h == nullptr) continue;
    for (const auto& lane : nlohmann::json::parse(h->node->show("lanes"))) {
      if (lane["kind"] == "inbox" && lane["name"] == filter) inboxes++;
      if (lane["kind"] != "mirror" || h->index == node) continue;
      const auto& readers = lane["readers"];
      if (readers.empty() || std::any_of(readers.begin(), readers.end(), [&](const auto& r) {
            return r["kind"] == "group" && r["filter"] == filter;
          }))
        return true;
    }
  }
  return inboxes > 1;
}

bool SimCluster::settled() const {
  return every_client([](const SimClient& c) { return c.finished(); });
}

std::string SimCluster::books() const {
  std::string wrong = faults_;
  every_client([&](const SimClient& c) {
    wrong += c.text();
    return true;
  });
  for (const auto& h : hosts_) {
    if (h == nullptr) continue;
    for (const auto& lane : nlohmann::json::parse(h->node->show("lanes"))) {
      auto rows = lane["readers"];
      rows.push_back(lane["left"]);
      for (const auto& r : rows) {
        const uint64_t in_flight = r.value("in_flight", uint64_t{0});
        uint64_t sum = r["delivered"].get<uint64_t>() + in_flight;
        for (const auto& [why, n] : r["dropped"].items())
          sum += n.get<uint64_t>();
        if (r["sent"].get<uint64_t>() != sum || in_flight != 0)
          wrong += "\nbooks of node " + std::to_string(h->index) + ": " + r.dump() + " of " +
                   lane["kind"].dump() + " " + lane["name"].dump();
      }
    }
  }
  return wrong;
}

uint64_t SimCluster::relayed() const {
  uint64_t bytes = 0;
  for (const auto& h : hosts_)
    if (h != nullptr)
      for (const auto& link : nlohmann::json::parse(h->node->show("links")))
        bytes += link["relayed_out"].get<uint64_t>();
  return bytes;
}

size_t SimCluster::stop() {
  end_old();
  for (auto& h : hosts_) {
    if (h != nullptr) close(*h);
    h.reset();
  }
  return net_.held();
}

std::string SimCluster::state() const {
  std::string t;
  for (const std::string& line : log_)
    t += "\n" + line;
  for (const auto& h : hosts_)
    if (h != nullptr)
      t += "\nnode " + std::to_string(h->index) + " dropped " + h->node->show("drops");
  every_client([&](const SimClient& c) {
    if (!c.finished()) t += "\n" + c.state();
    return true;
  });
  return t;
}

}  // namespace penstock::test
