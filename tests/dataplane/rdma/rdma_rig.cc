#include "tests/dataplane/rdma/rdma_rig.h"

#include <algorithm>
#include <new>

namespace penstock::test {

RdmaRig::RdmaRig(const RdmaRigConfig& config)
    : rig(config.rig), config_(config), net_(config.rig.seed + 77), rails_(config.gbps.size()) {
  net_.advance(rig.now());
  for (size_t side = 0; side < 2; side++) {
    choices_[side] = std::make_unique<Rails>(rig.link(side), config.stripe_from);
    for (size_t i = 0; i < rails_.size(); i++) {
      SimFabricConfig device = config.fabric;
      device.gbps = config.gbps[i];
      rails_[i].halves[side] =
          std::make_unique<Half>(net_.add(device), *choices_[side], config.guess);
      Half& h = half(side, i);
      h.landing_memory = *h.fabric->register_memory(reinterpret_cast<std::byte*>(h.landing.get()),
                                                    sizeof(Landing), kRemotePut);
    }
  }
  rig.application = [this] {
    turn();
    return false;
  };
}

RdmaRig::~RdmaRig() {
  for (Rail& r : rails_) {
    for (auto& h : r.halves) {
      h->connection.reset();
      h->endpoint.reset();
    }
  }
}

Flow& RdmaRig::add_flow(size_t from, const FlowConfig& config) {
  Flow& flow = rig.add_flow(from, config);
  Region& source = flow.lane.region();
  Region& mirror = flow.mirror.region();
  Lane lane{from, &flow, {}, {}};
  for (size_t i = 0; i < rails_.size(); i++) {
    lane.source.push_back(
        *fabric(from, i).register_memory(const_cast<std::byte*>(source.base), source.bytes, 0));
    lane.mirror.push_back(
        *fabric(1 - from, i)
             .register_memory(const_cast<std::byte*>(mirror.base) + config.mirror.arena_at(),
                              config.mirror.arena_size(), kRemotePut));
  }
  lanes_.push_back(lane);
  for (size_t i = 0; i < rails_.size(); i++)
    if (half(0, i).connection != nullptr) add(lanes_.back(), i);
  return flow;
}

void RdmaRig::add(const Lane& lane, size_t rail) {
  const Registration& m = lane.mirror[rail];
  lane.flow->in.let_put(
      {&fabric(1 - lane.from, rail), m.remote_address, m.remote_key, m.local_key});
  (void)path(lane.from, rail)
      .add_lane(lane.flow->out, lane.source[rail], remote_region(lane.mirror[rail]),
                config_.put_from);
}

void RdmaRig::join() {
  for (size_t i = 0; i < rails_.size(); i++)
    join(i);
  rig.run_for(50'000);
}

void RdmaRig::join(size_t rail) {
  rails_[rail].join_at = ~uint64_t{0};
  for (auto& h : rails_[rail].halves) {
    h->connection.reset();
    h->endpoint = std::move(*h->fabric->create_endpoint());
    h->report.reset();
    new (h->landing.get()) Landing();
    h->landing->granted.store(config_.window);
  }
  for (size_t side = 0; side < 2; side++) {
    Half& h = half(side, rail);
    Half& peer = half(1 - side, rail);
    (void)h.endpoint->connect(peer.endpoint->address());
    h.connection = std::make_unique<Connection>(
        *h.endpoint, *h.landing,
        Connection::Config{.send_depth = h.fabric->limits().send_depth,
                           .max_message = h.fabric->limits().max_message,
                           .window = config_.window,
                           .peer_window = config_.window,
                           .peer_landing = remote_region(peer.landing_memory)});
    LinkEvent up;
    for (const LinkEvent& e : rig.side(side).events)
      if (e.kind == LinkEvent::kUp) up = e;
    h.path.open(h.connection.get(), h.endpoint.get(), up.session);
  }
  for (const Lane& l : lanes_)
    add(l, rail);
  joins_++;
}

void RdmaRig::take_stopped(Half& h) const {
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
  for (size_t i = 0; i < rails_.size(); i++)
    turn(i);
}

void RdmaRig::turn(size_t i) {
  Rail& rail = rails_[i];
  for (size_t side = 0; side < 2; side++) {
    if (!rig.side(side).running) continue;
    Half& h = half(side, i);
    h.port.poll(rig.now());
    take_stopped(h);
    const auto& told = half(1 - side, i).report;
    if (!told || told->at > rig.now()) continue;
    h.path.stop();
    if (h.path.state() == RdmaPath::State::kStopped) h.path.resolve(told->taken, told->unfinished);
  }
  if (rail.halves[0]->connection == nullptr) return;
  const bool over =
      path(0, i).state() == RdmaPath::State::kOff && path(1, i).state() == RdmaPath::State::kOff;
  if (over && rail.join_at == ~uint64_t{0}) rail.join_at = rig.now() + config_.again_ns;
  if (over && rig.now() >= rail.join_at && fabric(0, i).port_up() && fabric(1, i).port_up())
    join(i);
}

}  // namespace penstock::test
