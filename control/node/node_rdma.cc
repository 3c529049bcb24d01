// RDMA beside the links: connections come and go. What goes over them: node_puts.cc.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"

namespace penstock {
namespace {

constexpr uint64_t kFirstPause = 100'000'000;    // after a connection failed
constexpr uint64_t kLastPause = 30'000'000'000;  // when they keep failing
constexpr uint64_t kGoodAfter = 10'000'000'000;  // one that lived so long begins with the first
constexpr uint64_t kTellIn = 30'000'000'000;     // what has landed there, or it is cut off
constexpr uint64_t kAnswerIn = 5'000'000'000;    // else it is called for anew

using State = RdmaRecord::State;

}  // namespace

void Node::add_fabric(std::string name, uint32_t worker, Fabric& fabric, uint64_t bytes_per_s) {
  fabrics_.push_back(
      std::make_unique<FabricRow>(std::move(name), worker, fabric, bytes_per_s, arenas_));
  workers_[worker]->worker.add_fabric(&fabrics_.back()->port);
}

// A path has a rail beside it for each device of its worker that can do what it takes.
void Node::give_rdma(PeerRecord& p) {
  for (uint32_t i = 0; i < p.paths.size(); i++) {
    PathRecord& path = p.paths[i];
    path.rails = std::make_unique<Rails>(path.path->link, config_.stripe_from_bytes);
    for (auto& f : fabrics_)
      if (f->worker == path.worker && path.rdma.size() < kMostRails &&
          f->port.fabric().limits().max_inline >= Connection::kInlineNeeded)
        path.rdma.push_back(std::make_unique<RdmaRecord>(
            p, i, static_cast<uint32_t>(path.rdma.size()), *f, *path.rails));
  }
}

RdmaRecord* Node::rdma_of(PeerRecord& p, uint32_t path, uint32_t rail, uint32_t life) {
  if (path >= p.paths.size() || rail >= p.paths[path].rdma.size()) return nullptr;
  RdmaRecord* r = p.paths[path].rdma[rail].get();
  return r->life == life && r->landing != nullptr && !r->over ? r : nullptr;
}

// --- they begin ---

// Our end of one: a queue pair, and what the peer puts to besides mirrors.
Errc Node::open_rdma(RdmaRecord& r, peer::RdmaEndpoint& end) {
  Fabric& fabric = r.fabric.port.fabric();
  const auto share = r.fabric.shares.open();
  if (!share.ok()) return share.error();
  auto landing = std::make_unique<Landing>();
  auto memory = fabric.register_memory(reinterpret_cast<std::byte*>(landing.get()), sizeof(Landing),
                                       kRemotePut);
  if (!memory.ok()) {
    r.fabric.shares.close(*share);
    return memory.error();
  }
  auto endpoint = fabric.create_endpoint();
  if (!endpoint.ok()) {
    fabric.deregister(*memory);
    r.fabric.shares.close(*share);
    return endpoint.error();
  }
  r.share = *share;
  r.landing = std::move(landing);
  r.landing_memory = *memory;
  r.endpoint = std::move(*endpoint);
  r.stopped = r.told = r.over = false;
  r.taken = 0;
  r.landed.clear();
  const RemoteRegion region = remote_region(r.landing_memory);
  end = {.path = r.index,
         .rail = r.rail,
         .life = r.life,
         .session = r.peer.paths[r.index].session,
         .window = r.fabric.shares.window(),
         .landing_key = region.key,
         .landing_address = region.address,
         .landing_bytes = region.bytes,
         .address = r.endpoint->address()};
  return Errc::kOk;
}

// Both ends know of each other: it is the worker's from now on.
Errc Node::join_rdma(RdmaRecord& r, const peer::RdmaEndpoint& end) {
  if (end.landing_bytes != sizeof(Landing) || end.window == 0) return Errc::kInvalid;
  if (const Errc e = r.endpoint->connect(end.address); e != Errc::kOk) return e;
  const FabricLimits& limits = r.fabric.port.fabric().limits();
  r.connection = std::make_unique<Connection>(
      *r.endpoint, *r.landing,
      Connection::Config{.send_depth = limits.send_depth,
                         .max_message = limits.max_message,
                         .window = r.fabric.shares.window(),
                         .peer_window = end.window,
                         .peer_landing = {end.landing_address, end.landing_bytes, end.landing_key},
                         .begins = config_.id < r.peer.id});
  r.state = State::kUp;
  r.up_since = now_;
  const PathRecord& path = r.peer.paths[r.index];
  errands(path.worker).send([&r, session = path.session](Worker&, uint64_t) {
    r.fabric.port.add(&r.path);
    r.path.open(r.connection.get(), r.endpoint.get(), session);
  });
  return Errc::kOk;
}

// It is tried again later, and said once.
void Node::rdma_failed(RdmaRecord& r, const char* what, Errc why) {
  r.free();
  r.again_at = now_ + kLastPause;
  if (!std::exchange(r.raised, true))
    raise(EventName::kRdmaDown, rail_name(r),
          fmt::format("node {} ({}) by RDMA on path {}, rail {}, device {}: {}: {}; large messages "
                      "go by other rails, or by frames; `penstock doctor` says what the device "
                      "lacks",
                      r.peer.id, r.peer.name, r.index, r.rail, r.fabric.name, what, text(why)));
}

void Node::call_rdma(RdmaRecord& r) {
  r.life++;
  peer::RdmaCall call;
  if (const Errc e = open_rdma(r, call.end); e != Errc::kOk)
    return rdma_failed(r, "no room for a connection", e);
  r.state = State::kCalling;
  r.up_since = now_;
  send(r.peer, call);
}

void Node::on_rdma_call(PeerRecord& p, const peer::RdmaCall& m) {
  peer::RdmaRefused refused;
  refused.path = m.end.path;
  refused.rail = m.end.rail;
  refused.life = m.end.life;
  const uint32_t index = m.end.path;
  if (index >= p.paths.size() || m.end.rail >= p.paths[index].rdma.size() || config_.id < p.id ||
      m.end.landing_bytes != sizeof(Landing) || m.end.window == 0)
    return send(p, refused);
  RdmaRecord& r = *p.paths[index].rdma[m.end.rail];
  const PathRecord& path = p.paths[index];
  if (!path.up || path.session != m.end.session || r.state != State::kNone) {
    r.called = m;  // that session begins, or the connection before is at its end
    if (path.up && path.session == m.end.session && m.end.life != r.life) never_joined(r);
    return;
  }
  r.called.reset();
  r.life = m.end.life;
  peer::RdmaAnswer answer;
  Errc e = open_rdma(r, answer.end);
  if (e == Errc::kOk) e = join_rdma(r, m.end);
  if (e != Errc::kOk) {
    rdma_failed(r, "no connection", e);
    return send(p, refused);
  }
  send(p, answer);
  offer_mirrors(r);
}

// The caller has given this one up before it heard our answer: nothing that was put there counts.
void Node::never_joined(RdmaRecord& r) {
  if (r.told || r.over) return;
  r.told = true;
  if (r.stopped) return end_rdma(r);
  stop_rdma(r);
}

void Node::on_rdma_answer(PeerRecord& p, const peer::RdmaAnswer& m) {
  // To one that we have given up, or cannot join: there is nothing to wait for of this end.
  peer::RdmaEnd end;
  end.path = m.end.path;
  end.rail = m.end.rail;
  end.life = m.end.life;
  RdmaRecord* r = rdma_of(p, m.end.path, m.end.rail, m.end.life);
  if (r == nullptr) return send(p, end);
  if (r->state != State::kCalling) return;
  if (const Errc e = join_rdma(*r, m.end); e != Errc::kOk) {
    r->refused = true;
    rdma_failed(*r, "no connection", e);
    return send(p, end);
  }
  offer_mirrors(*r);
}

void Node::on_rdma_refused(PeerRecord& p, const peer::RdmaRefused& m) {
  RdmaRecord* r = rdma_of(p, m.path, m.rail, m.life);
  if (r == nullptr || r->state != State::kCalling) return;
  r->refused = true;
  r->free();
  if (std::exchange(r->raised, false))
    clear(EventName::kRdmaDown, rail_name(*r),
          fmt::format("node {} ({}) has no RDMA for rail {} any more", p.id, p.name, r->rail));
}

// --- they end ---

void Node::stop_rdma(RdmaRecord& r) {
  if (r.state != State::kUp) return;
  r.state = State::kEnding;
  errands(r.fabric.worker).send([&r](Worker&, uint64_t) { r.path.stop(); });
}

// The worker has stopped it: for an error of the device or the peer, or because we said so. Nothing
// of the peer's lands any more, and what did is known.
void Node::rdma_stopped(RdmaRecord& r) {
  r.stopped = true;
  r.stopped_at = now_;
  r.state = State::kEnding;
  if (r.over) return end_rdma(r);
  if (!std::exchange(r.raised, true))
    raise(EventName::kRdmaDown, rail_name(r),
          fmt::format("node {} ({}) by RDMA on path {}, rail {}, device {}: {}; large messages go "
                      "by other rails until it is up again, or by frames, as do those under way",
                      r.peer.id, r.peer.name, r.index, r.rail, r.fabric.name,
                      text(r.connection->why())));
  std::array<UnfinishedTransfer, kTransferSlots> unfinished;
  const size_t n = r.connection->unfinished(unfinished);
  for (size_t i = 0; i < n; i++) {
    peer::RdmaLanded m;
    m.path = r.index;
    m.rail = r.rail;
    m.life = r.life;
    m.number = unfinished[i].number;
    m.chunks = unfinished[i].chunks;
    send(r.peer, m);
  }
  peer::RdmaEnd m;
  m.path = r.index;
  m.rail = r.rail;
  m.life = r.life;
  m.taken = r.connection->taken();
  send(r.peer, m);
  if (r.told) end_rdma(r);
}

void Node::on_rdma_landed(PeerRecord& p, const peer::RdmaLanded& m) {
  RdmaRecord* r = rdma_of(p, m.path, m.rail, m.life);
  if (r == nullptr || r->told || r->landed.size() >= kTransferSlots) return;
  r->landed.push_back({m.number, m.chunks});
}

void Node::on_rdma_end(PeerRecord& p, const peer::RdmaEnd& m) {
  RdmaRecord* r = rdma_of(p, m.path, m.rail, m.life);
  if (r == nullptr || r->told || r->connection == nullptr) return;
  r->told = true;
  r->taken = m.taken;
  if (r->stopped) return end_rdma(*r);
  stop_rdma(*r);
}

// Both have stopped, or the session is over. Then the next one may begin.
void Node::end_rdma(RdmaRecord& r) {
  errands(r.fabric.worker)
      .send(
          [&r, over = r.over, taken = r.taken, landed = r.landed](Worker&, uint64_t) {
            if (over) {
              r.path.forget();
            } else {
              r.path.resolve(taken, landed);
            }
            r.fabric.port.remove(&r.path);
          },
          [this, &r] {
            const uint64_t longer = std::clamp(2 * r.again_pause, kFirstPause, kLastPause);
            r.again_pause = now_ - r.up_since >= kGoodAfter ? kFirstPause : longer;
            r.again_at = now_ + r.again_pause;
            r.free();
          });
}

// The session is over, and all that was under way with it. The device stops first: what it reads
// may be written anew from here on.
void Node::rdma_down(RdmaRecord& r) {
  const uint64_t session = r.peer.paths[r.index].session;
  if (r.called && r.called->end.session == session) r.called.reset();
  r.refused = false;
  r.again_at = r.again_pause = 0;
  if (r.state == State::kCalling) r.free();
  if (r.state == State::kNone || r.over) return;
  r.endpoint->stop();
  if (r.stopped && r.told) return;  // what was landed is being told to the lanes
  r.over = true;
  if (r.stopped) return end_rdma(r);
  stop_rdma(r);
}

// What devices say, and connections that are to begin.
void Node::look_at_rdma() {
  for (auto& f : fabrics_) {
    std::array<FabricEvent, 16> events;
    const size_t n = f->port.fabric().events(events);
    for (size_t i = 0; i < n; i++) {
      const FabricEvent& e = events[i];
      if (e.kind == FabricEventKind::kPortUp) f->down = false;
      if (e.kind == FabricEventKind::kPortDown || e.kind == FabricEventKind::kDeviceFatal)
        f->down = true;
      each_rdma([&](RdmaRecord& r) {
        const bool hit = e.kind == FabricEventKind::kEndpointError && r.endpoint != nullptr &&
                         r.endpoint->number() == e.endpoint;
        if (&r.fabric == f.get() && (hit || f->down)) stop_rdma(r);
      });
    }
  }
  for (auto& [id, p] : peers_)
    each_rail(*p, [&](RdmaRecord& r) {
      if (p->up() && p->paths[r.index].up) look_at_rail(r);
    });
}

void Node::look_at_rail(RdmaRecord& r) {
  if (r.works() && std::exchange(r.raised, false))
    clear(EventName::kRdmaDown, rail_name(r),
          fmt::format("node {} ({}) is up by RDMA on path {}, rail {}, device {}", r.peer.id,
                      r.peer.name, r.index, r.rail, r.fabric.name));
  if (r.state == State::kCalling && now_ >= r.up_since + kAnswerIn) r.free();
  if (r.state == State::kEnding && r.stopped && !r.told && !r.over &&
      now_ >= r.stopped_at + kTellIn)
    cut(r.peer, "it does not say what has landed there by RDMA");
  if (r.state != State::kNone) return;
  if (r.called) {
    const peer::RdmaCall call = *r.called;
    r.called.reset();
    on_rdma_call(r.peer, call);
  } else if (config_.id < r.peer.id && !r.refused && !r.fabric.down && now_ >= r.again_at) {
    call_rdma(r);
  }
}

}  // namespace penstock
