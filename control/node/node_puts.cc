// Which lanes go by RDMA: mirrors are offered to their sources, forwards given what they need.
#include <algorithm>
#include <bit>
#include <fmt/format.h>

#include "control/node/node.h"

namespace penstock {
namespace {

std::byte* arena_of(const LaneRecord& lane) {
  return lane.map.data() + lane.geometry.arena_at();
}

// Null: it has not begun.
OutLane* out_of(ForwardRecord& f) {
  if (f.remote != nullptr) return &f.remote->out();
  return f.forward != nullptr ? &f.forward->out() : nullptr;
}

}  // namespace

// The arena of a lane, known to the device as a whole. Null: the device cannot, which is said once.
// Kernels before 6.2 take shared memory only from who may write it, even where the device may not:
// a lane of a publisher is made so for a moment.
const Registered* Node::register_arena(FabricRow& f, RegistrationCache& cache, LaneRecord& lane) {
  arenas_.add({arena_of(lane), lane.geometry.arena_size(), lane.id});
  if (lane.kind == LaneKind::kLane) lane.map.allow_writing();
  const auto got = cache.acquire(arena_of(lane), lane.geometry.arena_size());
  if (lane.kind == LaneKind::kLane) lane.map.forbid_writing();
  if (got.ok() && (*got)->pieces().size() == 1) return *got;
  const Errc why = got.ok() ? Errc::kTooBig : got.error();
  if (got.ok()) cache.release(*got);
  if (!std::exchange(f.refuses, true))
    note(
        EventName::kPortCopies,
        fmt::format("device {}: lane {} ({}) cannot be registered ({}): its messages go by frames, "
                    "and so do those of others; raise the limit on locked memory, see `penstock "
                    "doctor`",
                    f.name, lane.id, lane.name, text(why)));
  return nullptr;
}

void Node::offer_mirrors(RdmaRecord& r) {
  for (auto& [id, lane] : lanes_)
    if (lane->peer == &r.peer && lane->path == r.index) offer_mirror(*lane, r);
}

// To its source: where messages may be put.
void Node::offer_mirror(LaneRecord& lane, RdmaRecord& r) {
  if (lane.closed || lane.ending || lane.in == nullptr || r.state != RdmaRecord::State::kUp) return;
  auto known = lane.put_memory.find(&r.fabric);
  if (known == lane.put_memory.end()) {
    const Registered* memory = register_arena(r.fabric, r.fabric.mirrors, lane);
    if (memory == nullptr) return;
    known = lane.put_memory.emplace(&r.fabric, memory).first;
  }
  const Registration& memory = known->second->pieces()[0];
  const RemoteRegion region = remote_region(memory);
  peer::RdmaMirror m;
  m.path = lane.path;
  m.alias = lane.alias;
  m.epoch = lane.alias_epoch;
  m.rail = r.rail;
  m.life = r.life;
  m.key = region.key;
  m.address = region.address;
  m.bytes = region.bytes;
  errands(lane.worker)
      .send([in = lane.in.get(),
             known = PutMemory{&r.fabric, region.address, region.key, memory.local_key}](
                Worker&, uint64_t) { in->let_put(known); },
            [this, id = lane.id, m] {
              if (LaneRecord* mirror = open_mirror(id)) send(*mirror->peer, m);
            });
}

void Node::on_rdma_mirror(PeerRecord& p, const peer::RdmaMirror& m) {
  RdmaRecord* r = rdma_of(p, m.path, m.rail, m.life);
  ForwardRecord* f = r != nullptr ? find_forward(p, m.path, m.alias) : nullptr;
  if (f == nullptr) return;
  PutWay& way = f->puts[m.rail];
  way.to = {m.address, m.bytes, m.key};
  way.life = m.life;
  put_forward(*f, *r);
}

// Its large messages go by this rail, if it has begun and the peer has said where.
void Node::put_forward(ForwardRecord& f, RdmaRecord& r) {
  PutWay& way = f.puts[r.rail];
  if (r.state != RdmaRecord::State::kUp || way.life != r.life || f.ending) return;
  OutLane* out = out_of(f);
  if (out == nullptr) return;
  if (way.memory == nullptr) way.memory = register_arena(r.fabric, r.fabric.sources, *f.lane);
  if (way.memory == nullptr) return;
  errands(r.fabric.worker)
      .ask([&r, out, source = way.memory->pieces()[0], to = way.to, from = config_.put_from_bytes](
               Worker&, uint64_t) { return r.path.add_lane(*out, source, to, from); },
           [this, &r, path = f.path_index, alias = f.alias](Errc e) {
             if (e != Errc::kInvalid) return;
             if (ForwardRecord* known = find_forward(r.peer, path, alias))
               known->puts[r.rail].life = 0;
             note(EventName::kPeerNonsense,
                  fmt::format("node {} offers a mirror of another size than it has said: lane "
                              "alias {} goes by frames",
                              r.peer.id, alias));
           });
}

// Nothing of the forward is under way by RDMA any more: then `then`. Until then the lane holds what
// the device may read. All rails let go of it at once; that they have is heard of one after the
// other, as a rail that is free is not to be asked again: it would see to what others have sent
// since.
void Node::off_rdma(ForwardRecord& f, uint64_t since, std::function<void()> then) {
  PathRecord& path = f.peer->paths[f.path_index];
  uint32_t held = 0;  // rails, a bit each
  for (const auto& r : path.rdma)
    held |= f.puts[r->rail].memory != nullptr ? 1u << r->rail : 0;
  if (held == 0) return then();
  const auto first = static_cast<uint32_t>(std::countr_zero(held));
  errands(path.worker)
      .ask(
          [&path, out = out_of(f), held, first](Worker&, uint64_t) {
            bool free = false;
            for (auto& r : path.rdma)
              if ((held >> r->rail & 1) != 0 && r->path.remove_lane(*out) && r->rail == first)
                free = true;
            return free ? Errc::kOk : Errc::kWouldBlock;
          },
          [this, &f, first, since, then = std::move(then)](Errc e) {
            if (e != Errc::kOk) return leaving_rdma_.push_back({&f, since, then});
            RdmaRecord& r = *f.peer->paths[f.path_index].rdma[first];
            r.fabric.sources.release(std::exchange(f.puts[first].memory, nullptr));
            off_rdma(f, since, then);
          });
}

void release_puts(ForwardRecord& f) {
  for (auto& r : f.peer->paths[f.path_index].rdma)
    if (const Registered* memory = std::exchange(f.puts[r->rail].memory, nullptr))
      r->fabric.sources.release(memory);
}

// Asked again, a tick later. A peer that never says that it has what it was sent holds nobody for
// ever: its connection ends.
void Node::look_at_leaving_rdma() {
  constexpr uint64_t kMostNs = 5'000'000'000;
  for (auto& [f, since, then] : std::exchange(leaving_rdma_, {})) {
    if (now_ >= since + kMostNs)
      for (auto& r : f->peer->paths[f->path_index].rdma)
        if (f->puts[r->rail].memory != nullptr) stop_rdma(*r);
    off_rdma(*f, since, std::move(then));
  }
}

// Nobody uses the lane, and no device knows it any more.
void Node::unregister(LaneRecord& lane) {
  for (const auto& [fabric, memory] : std::exchange(lane.put_memory, {}))
    fabric->mirrors.release(memory);
  for (auto& f : fabrics_) {
    f->sources.invalidate(arena_of(lane), lane.geometry.arena_size());
    f->mirrors.invalidate(arena_of(lane), lane.geometry.arena_size());
  }
  arenas_.remove(arena_of(lane));
}

}  // namespace penstock
