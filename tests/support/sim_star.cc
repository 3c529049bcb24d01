#include "tests/support/sim_star.h"

#include <algorithm>
#include <cstring>

namespace penstock::test {
namespace {

// Every word of a message says which message it is, and where in it.
uint64_t word(uint64_t message, uint64_t at) {
  return message * 0x9e3779b97f4a7c15 + at;
}

void fill(std::byte* to, uint64_t size, uint64_t message) {
  for (uint64_t at = 0; at + 8 <= size; at += 8) {
    const uint64_t w = word(message, at);
    std::memcpy(to + at, &w, 8);
  }
}

bool right(const Message& m, uint64_t size, uint64_t message) {
  if (m.len != size || m.source != message) return false;
  for (uint64_t at = 0; at + 8 <= size; at += 8) {
    const uint64_t w = word(message, at);
    if (std::memcmp(m.data + at, &w, 8) != 0) return false;
  }
  return true;
}

}  // namespace

SimStar::Flow::Flow(Source& from, uint32_t to, uint32_t alias, LinkPath& path,
                    const LaneGeometry& geometry, bool chained)
    : source(from),
      host(to),
      mirror(geometry, 1000 + to),
      forward({.join = from.lane.read().join(),
               .path = &path,
               .alias = alias,
               .epoch = 1,
               .mirror = geometry,
               .region = &from.lane.region(),
               .every_topic = true,
               .chain = chained ? &from.chain : nullptr}),
      in(alias, 1, mirror.writer(), 1),
      reader(mirror.read()) {
  in.set_region(&mirror.region());
}

SimStar::SimStar(const Config& config) : config_(config), net_(config.seed) {
  net_.advance(now_);
  for (uint32_t i = 0; i < config.hosts; i++) {
    auto h = std::make_unique<Host>();
    h->port = &net_.add_port(config.port);
    NetPort::Config c;
    c.station.mac.bytes = h->port->info().mac;
    c.station.v4 = address(i);
    c.prefix_bits = 16;
    c.udp_port = kUdpPort;
    c.cookie_seed = config.seed + 1;
    if (config.credits) c.bytes_per_us = uint64_t{config.port.gbps} * 125;
    h->net = std::make_unique<NetPort>(*h->port, c);
    h->worker = std::make_unique<Worker>(Worker::Config{});
    h->worker->add_port(h->net.get());
    h->paths.resize(config.hosts);
    h->sessions.resize(config.hosts);
    if (i == 0 && config.rdma_gbps != 0) rails_ = std::make_unique<StarRails>(config.seed + 5);
    const bool slow = config.slow_device != 0 && i == config.slow_device;
    if (rails_ != nullptr) rails_->add_host(*h->worker, config.rdma_gbps / (slow ? 100 : 1));
    hosts_.push_back(std::move(h));
  }
}

SimStar::~SimStar() {
  for (auto& h : hosts_)
    h->port->stop();  // what it still sends refers to lanes, which go first
  for (auto& f : flows_)
    hosts_[f->source.host]->worker->tasks().remove(&f->forward);
}

IpAddress SimStar::address(uint32_t host) {
  return *parse_ip("10.1." + std::to_string(host / 250) + "." + std::to_string(host % 250 + 1));
}

LinkPath& SimStar::path(uint32_t host, uint32_t peer) {
  Host& h = *hosts_[host];
  if (h.paths[peer] == nullptr) {
    LinkPath::Config c;
    c.link = config_.link;
    c.link.self_id = host + 1;
    c.link.peer_id = peer + 1;
    c.link.index = peer;
    c.link.seed = config_.seed * 1000 + host;
    c.remote = address(peer);
    c.local_udp = c.remote_udp = kUdpPort;
    h.paths[peer] = std::make_unique<LinkPath>(c, h.port->info().max_frame);
    (void)h.net->add_link(h.paths[peer].get(), now_);
  }
  return *h.paths[peer];
}

SimStar::Source& SimStar::publish(uint32_t host, const LaneGeometry& geometry, uint64_t size,
                                  uint64_t total) {
  sources_.push_back(std::make_unique<Source>(host, geometry, size, total,
                                              std::max<uint64_t>(config_.chain_from, 1)));
  (void)hosts_[host]->port->map_region(sources_.back()->lane.region());
  return *sources_.back();
}

SimStar::Flow& SimStar::subscribe(uint32_t host, Source& source, const LaneGeometry& mirror) {
  (void)path(host, source.host);
  if (config_.chain_from != 0) {
    for (auto& f : flows_) {
      if (&f->source != &source) continue;
      (void)path(host, f->host);
      (void)path(f->host, host);
    }
  }
  flows_.push_back(std::make_unique<Flow>(source, host, static_cast<uint32_t>(flows_.size() + 1),
                                          path(source.host, host), mirror,
                                          config_.chain_from != 0));
  (void)hosts_[host]->port->map_region(flows_.back()->mirror.region());
  return *flows_.back();
}

void SimStar::take_notices(uint32_t host) {
  LinkNotice n;
  while (hosts_[host]->net->next_notice(n))
    if (n.event.kind == LinkEvent::kUp)
      hosts_[host]->sessions[n.path->link.config().peer_id - 1] = n.event.session;
  for (auto& f : flows_) {
    Link& out = path(f->source.host, f->host).link;
    Link& in = path(f->host, f->source.host).link;
    if (!f->in_added && in.up()) f->in_added = in.add_in(&f->in) == Errc::kOk;
    if (!f->out_added && f->in_added && out.up()) {
      f->out_added = out.add_out(&f->forward.out()) == Errc::kOk;
      hosts_[f->source.host]->worker->tasks().add(&f->forward);
    }
  }
}

// What control does when a peer is missed: its reader holds the publisher back no longer.
void SimStar::bury() {
  for (auto& f : flows_) {
    Host& from = *hosts_[f->source.host];
    if (!f->dead || !f->out_added || from.paths[f->host]->link.up()) continue;
    from.worker->tasks().remove(&f->forward);
    f->source.lane.desk().leave(f->forward.reader().join().index);
    f->out_added = false;
  }
}

bool SimStar::application() {
  bool busy = false;
  bury();
  for (auto& s : sources_) {
    while (s->published < s->total) {
      std::byte* to = s->lane.writer().loan(s->size);
      if (to == nullptr) break;
      fill(to, s->size, s->published++);
      s->lane.writer().commit({});
      busy = true;
    }
  }
  for (auto& f : flows_) {
    Message m;
    bool some = false;
    if (f->paused || f->dead) continue;
    while (f->reader.next(m) != LaneReader::Next::kEmpty) {
      if (!right(m, f->source.size, f->got)) f->wrong++;
      f->got++;
      some = true;
    }
    if (!some) continue;
    f->reader.release();
    busy = true;
    if (f->done()) f->done_at = now_;
  }
  return busy;
}

void SimStar::step() {
  bool busy = false;
  for (uint32_t i = 0; i < hosts_.size(); i++)
    busy |= now_ >= hosts_[i]->stalled_until && hosts_[i]->worker->turn(now_) != 0;
  uint64_t next = now_ + kTurnNs;
  if (!busy) {
    uint64_t event = net_.next_event();
    if (rails_ != nullptr) event = std::min(event, rails_->next_event());
    for (auto& h : hosts_)
      event = std::min(event, h->net->next_deadline(now_));
    next = std::clamp(event, next, now_ + 50 * kTurnNs);
  }
  now_ = next;
  net_.advance(now_);
  if (rails_ != nullptr) rails_->advance(now_);
}

bool SimStar::run_until(const std::function<bool()>& done, uint64_t limit_ns) {
  const uint64_t end = now_ + limit_ns;
  while (!done()) {
    if (now_ >= end) return false;
    step();
  }
  return true;
}

// They have had the time to see that they work then.
void SimStar::join_rails() {
  for (uint32_t a = 0; a < hosts_.size(); a++)
    for (uint32_t b = a + 1; b < hosts_.size(); b++)
      if (hosts_[a]->paths[b] != nullptr && hosts_[b]->paths[a] != nullptr) {
        rails_->add_pair(a, hosts_[a]->paths[b]->link, b, hosts_[b]->paths[a]->link);
        rails_->join(a, hosts_[a]->sessions[b], b, hosts_[b]->sessions[a]);
      }
  for (auto& f : flows_)
    rails_->add_lane(f->source.host, f->source.lane, f->forward.out(), f->host, f->mirror, f->in,
                     config_.put_from);
  const uint64_t until = now_ + 1'000'000;
  (void)run_until([&] { return now_ >= until; }, 2'000'000);
}

bool SimStar::connect() {
  const bool up = run_until(
      [&] {
        for (uint32_t i = 0; i < hosts_.size(); i++)
          take_notices(i);
        return std::ranges::all_of(flows_, [](const auto& f) { return f->out_added; }) &&
               std::ranges::all_of(hosts_, [](const auto& h) {
                 return std::ranges::all_of(
                     h->paths, [](const auto& p) { return p == nullptr || p->link.up(); });
               });
      },
      20'000'000'000);
  if (up && rails_ != nullptr) join_rails();
  return up;
}

bool SimStar::run(uint64_t limit_ns) {
  return run(limit_ns,
             [&] { return std::ranges::all_of(flows_, [](const auto& f) { return f->done(); }); });
}

bool SimStar::run(uint64_t limit_ns, const std::function<bool()>& done) {
  return run_until(
      [&] {
        application();
        return done();
      },
      limit_ns);
}

void SimStar::kill(uint32_t host) {
  hosts_[host]->port->faults.cut = true;
  if (rails_ != nullptr) rails_->kill(host);
  for (auto& f : flows_)
    f->dead |= f->host == host;
}

}  // namespace penstock::test
