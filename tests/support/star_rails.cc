#include "tests/support/star_rails.h"

#include <algorithm>

namespace penstock::test {
namespace {

constexpr uint32_t kWindow = 256;

}  // namespace

StarRails::~StarRails() {
  for (auto& h : halves_) {
    h->connection.reset();
    h->endpoint.reset();
  }
}

void StarRails::add_host(Worker& worker, uint32_t gbps) {
  SimFabricConfig c;
  c.gbps = gbps;
  c.faults.delay_ns = 1'000;
  c.receive_depth = 65'536;
  fabrics_.push_back(&net_.add(c));
  rates_.push_back(uint64_t{gbps} * 125'000'000);
  ports_.push_back(std::make_unique<FabricPort>(*fabrics_.back()));
  worker.add_fabric(ports_.back().get());
}

StarRails::Half* StarRails::find(uint32_t host, uint32_t peer) const {
  const auto it = std::ranges::find_if(
      halves_, [&](const auto& h) { return h->host == host && h->peer == peer; });
  return it == halves_.end() ? nullptr : it->get();
}

StarRails::Half& StarRails::add(uint32_t host, uint32_t peer, Link& link) {
  halves_.push_back(std::make_unique<Half>(host, peer, link, *fabrics_[host], rates_[host]));
  Half& h = *halves_.back();
  h.landing_memory = *fabrics_[host]->register_memory(reinterpret_cast<std::byte*>(h.landing.get()),
                                                      sizeof(Landing), kRemotePut);
  h.endpoint = std::move(*fabrics_[host]->create_endpoint());
  return h;
}

void StarRails::add_pair(uint32_t a, Link& to_b, uint32_t b, Link& to_a) {
  if (find(a, b) != nullptr) return;
  Half& one = add(a, b, to_b);
  Half& two = add(b, a, to_a);
  (void)one.endpoint->connect(two.endpoint->address());
  (void)two.endpoint->connect(one.endpoint->address());
}

void StarRails::open(Half& half, Half& other, uint64_t session) {
  const FabricLimits& limits = fabrics_[half.host]->limits();
  half.connection = std::make_unique<Connection>(
      *half.endpoint, *half.landing,
      Connection::Config{.send_depth = limits.send_depth,
                         .max_message = limits.max_message,
                         .window = kWindow,
                         .peer_window = kWindow,
                         .peer_landing = remote_region(other.landing_memory),
                         .begins = half.host < half.peer});
  ports_[half.host]->add(&half.path);
  half.path.open(half.connection.get(), half.endpoint.get(), session);
}

void StarRails::join(uint32_t a, uint64_t session_a, uint32_t b, uint64_t session_b) {
  Half& one = *find(a, b);
  Half& two = *find(b, a);
  open(one, two, session_a);
  open(two, one, session_b);
}

void StarRails::add_lane(uint32_t from, TestLane& lane, OutLane& out, uint32_t to, TestLane& mirror,
                         InLane& in, uint64_t put_from) {
  const LaneGeometry& g = out.mirror();
  auto* arena = const_cast<std::byte*>(mirror.region().base) + g.arena_at();
  const Registration there = *fabrics_[to]->register_memory(arena, g.arena_size(), kRemotePut);
  const Registration here = *fabrics_[from]->register_memory(
      const_cast<std::byte*>(lane.region().base), lane.region().bytes, kReadOnly);
  in.let_put({fabrics_[to], there.remote_address, there.remote_key, there.local_key});
  (void)find(from, to)->path.add_lane(out, here, remote_region(there), put_from);
}

uint64_t StarRails::put_bytes(uint32_t from) const {
  uint64_t bytes = 0;
  for (const auto& h : halves_)
    bytes += h->host == from ? h->path.stats().put_bytes.read() : 0;
  return bytes;
}

uint64_t StarRails::passed_bytes(uint32_t from) const {
  uint64_t bytes = 0;
  for (const auto& h : halves_)
    bytes += h->host == from ? h->rails.relay().stats().passed_bytes.read() : 0;
  return bytes;
}

uint64_t StarRails::errors() const {
  uint64_t errors = 0;
  for (const auto& h : halves_)
    errors += h->path.stats().errors.read();
  return errors;
}

uint64_t StarRails::revoked() const {
  uint64_t n = 0;
  for (const auto& h : halves_)
    n += h->rails.relay().stats().revoked.read();
  return n;
}

uint64_t StarRails::misuse() const {
  uint64_t n = 0;
  for (const SimFabric* f : fabrics_)
    n += f->used_after_deregistration() + f->stats().receiver_not_ready.read();
  return n;
}

}  // namespace penstock::test
