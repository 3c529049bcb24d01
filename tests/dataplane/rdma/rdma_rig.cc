#include "tests/dataplane/rdma/rdma_rig.h"

#include <algorithm>
#include <new>

namespace penstock::test {

RdmaRig::RdmaRig(const RdmaRigConfig& config)
    : rig(config.rig), config_(config), net_(config.rig.seed + 77) {
  net_.advance(rig.now());
  for (size_t i = 0; i < 2; i++) {
    halves_[i] = std::make_unique<Half>(net_.add(config.fabric), rig.link(i));
    Half& h = *halves_[i];
    h.landing_memory = *h.fabric->register_memory(reinterpret_cast<std::byte*>(h.landing.get()),
                                                  sizeof(Landing), kRemotePut);
  }
  rig.application = [this] {
    turn();
    return false;
  };
}

RdmaRig::~RdmaRig() {
  for (auto& h : halves_) {
    h->connection.reset();
    h->endpoint.reset();
  }
}

Flow& RdmaRig::add_flow(size_t from, const FlowConfig& config) {
  Flow& flow = rig.add_flow(from, config);
  Region& source = flow.lane.region();
  Region& mirror = flow.mirror.region();
  lanes_.push_back(
      {from, &flow,
       *fabric(from).register_memory(const_cast<std::byte*>(source.base), source.bytes, 0),
       *fabric(1 - from).register_memory(
           const_cast<std::byte*>(mirror.base) + config.mirror.arena_at(),
           config.mirror.arena_size(), kRemotePut)});
  if (joined()) add(lanes_.back());
  return flow;
}

void RdmaRig::add(const Lane& lane) {
  lane.flow->in.let_put();
  (void)path(lane.from).add_lane(lane.flow->out, lane.source, remote_region(lane.mirror),
                                 config_.put_from);
}

void RdmaRig::join() {
  join_at_ = ~uint64_t{0};
  for (auto& h : halves_) {
    h->connection.reset();
    h->endpoint = std::move(*h->fabric->create_endpoint());
    h->report.reset();
    new (h->landing.get()) Landing();
    h->landing->granted.store(config_.window);
  }
  for (size_t i = 0; i < 2; i++) {
    Half& h = *halves_[i];
    Half& peer = *halves_[1 - i];
    (void)h.endpoint->connect(peer.endpoint->address());
    h.connection = std::make_unique<Connection>(
        *h.endpoint, *h.landing,
        Connection::Config{.send_depth = h.fabric->limits().send_depth,
                           .max_message = h.fabric->limits().max_message,
                           .window = config_.window,
                           .peer_window = config_.window,
                           .peer_landing = remote_region(peer.landing_memory)});
    LinkEvent up;
    for (const LinkEvent& e : rig.side(i).events)
      if (e.kind == LinkEvent::kUp) up = e;
    h.path.open(h.connection.get(), h.endpoint.get(), up.session);
  }
  for (const Lane& l : lanes_)
    add(l);
  joins_++;
}

void RdmaRig::take_stopped(size_t side) {
  Half& h = *halves_[side];
  for (RdmaPath* p = nullptr; h.port.next_stopped(p);) {
    Report r{.at = rig.now() + config_.tell_ns, .taken = h.connection->taken(), .unfinished = {}};
    std::array<UnfinishedTransfer, kTransferSlots> all;
    const size_t n = h.connection->unfinished(all);
    r.unfinished.assign(all.begin(), all.begin() + static_cast<ptrdiff_t>(n));
    h.report = r;
  }
}

void RdmaRig::turn() {
  net_.advance(rig.now());
  if (application) application();
  for (size_t i = 0; i < 2; i++) {
    if (!rig.side(i).running) continue;
    halves_[i]->port.poll(rig.now());
    take_stopped(i);
    const auto& told = halves_[1 - i]->report;
    if (!told || told->at > rig.now()) continue;
    path(i).stop();
    if (path(i).state() == RdmaPath::State::kStopped)
      path(i).resolve(told->taken, told->unfinished);
  }
  if (!joined()) return;
  const bool over =
      path(0).state() == RdmaPath::State::kOff && path(1).state() == RdmaPath::State::kOff;
  if (over && join_at_ == ~uint64_t{0}) join_at_ = rig.now() + config_.again_ns;
  if (over && rig.now() >= join_at_ && fabric(0).port_up() && fabric(1).port_up()) join();
}

}  // namespace penstock::test
