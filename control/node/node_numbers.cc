// What metrics are made of, from the counters that their owners publish; nobody is stopped.
#include "control/node/node.h"

namespace penstock {
namespace {

// A publisher that scribbles on its own lane falsifies this: metrics/README.md.
void count_published(const LaneRecord& lane, Counted& sum) {
  if (lane.kind != LaneKind::kLane) return;
  const uint64_t head = lane.head();
  sum.published += head;
  if (head == 0 || !lane.stamped(head - 1)) return;
  const auto* ring = reinterpret_cast<const Descriptor*>(lane.map.data() + lane.geometry.ring_at());
  const Descriptor& last = ring[(head - 1) & (lane.geometry.ring_size() - 1)];
  sum.published_bytes += arena_next(last.arena_pos.get(), shape_len(last.shape.get()));
}

}  // namespace

Taker Node::taker(const ReaderRecord& r) {
  return r.forward != nullptr ? Taker::kLink : r.source != nullptr ? Taker::kGroup : Taker::kClient;
}

uint64_t Node::stalls(const ForwardRecord& f) {
  if (f.forward != nullptr) return f.forward->out().stats().blocked.read();
  return f.remote != nullptr ? f.remote->out().stats().blocked.read() : 0;
}

void Node::count_ended(const LaneRecord& lane) {
  count_published(lane, ended_);
  if (lane.in == nullptr) return;
  ended_.gaps += lane.in->stats().gaps.read();
  ended_.came.add(lane.came());
  if (!lane.peer->off) lane.peer->paths[lane.path].came.add(lane.came());
}

void Node::count_delays(const ClientRecord& c, Counted& sum) {
  if (c.positions.map.data() == nullptr) return;
  const DelayCounts& d = reinterpret_cast<const PositionTable*>(c.positions.map.data())->delays;
  for (size_t i = 0; i < kDelayBuckets; i++)
    sum.delays[i] += d.buckets[i].load();
  sum.delays_ns += d.sum_ns.load();
}

NodeNumbers Node::numbers() const {
  NodeNumbers n;
  n.counted = ended_;
  n.drops = drops();
  n.clients = clients_.size();
  for (const auto& [id, c] : clients_) {
    n.subscriptions += c->subscriptions.size();
    count_delays(*c, n.counted);
  }
  for (const auto& [id, lane] : lanes_) {
    uint64_t* const kinds[] = {&n.lanes, &n.mirrors, &n.inboxes};
    (*kinds[static_cast<size_t>(lane->kind)])++;
    (lane->memory.huge() ? n.lane_huge_bytes : n.lane_bytes) += lane->geometry.total_bytes();
    count_published(*lane, n.counted);
    if (lane->in != nullptr) n.counted.gaps += lane->in->stats().gaps.read();
    n.counted.came.add(lane->came());
    for (const auto& f : lane->forwards)
      n.counted.stalls += stalls(*f);
    for (const auto& [index, r] : lane->readers) {
      const Totals t = totals(*r);
      const auto who = static_cast<size_t>(taker(*r));
      n.counted.delivered[who] += t.delivered;
      n.in_flight[who] += t.in_flight;
      if (!r->evicted && r->let_go() < r->mark)
        n.oldest_ns = std::max(n.oldest_ns, now_ - r->marked_at);
    }
  }
  for (const auto& w : workers_) {
    const WorkerStats& s = w->worker.stats();
    n.workers.push_back({.turns = s.turns.read(),
                         .busy_turns = s.busy_turns.read(),
                         .sleeps = s.sleeps.read(),
                         .busy_ns = s.busy_ns.read(),
                         .longest_ns = s.longest_ns.load_relaxed(),
                         .stuck = w->stuck});
  }
  for (const PortRow& row : ports_) {
    auto at = std::ranges::find(n.ports, row.name, &NodeNumbers::Port::name);
    if (at == n.ports.end()) at = n.ports.insert(at, {.name = row.name});
    const PortStats& s = row.net->port().stats();
    const DeviceLosses lost = row.losses ? row.losses() : DeviceLosses{};
    at->up = row.net->port().link_up();
    at->rx_frames += s.rx_frames.read();
    at->rx_bytes += s.rx_bytes.read();
    at->tx_frames += s.tx_frames.read();
    at->tx_bytes += s.tx_bytes.read();
    at->no_buffers += s.no_buffers.read();
    at->rx_missed += s.rx_missed.read() + lost.rx_missed;
    at->rx_errors += lost.rx_errors;
    at->tx_errors += lost.tx_errors;
    at->buffers += lost.buffers;
    at->buffers_free += lost.buffers_free;
  }
  for (const auto& [id, p] : peers_) {
    for (uint32_t i = 0; i < p->paths.size(); i++) {
      const LinkStats& s = p->paths[i].path->link.stats();
      n.paths.push_back({.peer = clean(p->name),
                         .peer_id = id,
                         .path = i,
                         .up = p->paths[i].up,
                         .connected = s.connected.load() != 0,
                         .rtt_ns = s.srtt_ns.load(),
                         .packets_sent = s.tx_frames.read(),
                         .packets_received = s.rx_frames.read(),
                         .bytes_sent = s.tx_bytes.read(),
                         .bytes_received = s.rx_bytes.read(),
                         .retransmitted = s.retransmitted.read(),
                         .lost = s.lost.read(),
                         .spurious = s.spurious.read(),
                         .sessions = s.sessions.read(),
                         .reconnects = s.reconnects.read()});
      for (const auto& r : p->paths[i].rdma) {
        const RdmaPathStats& put = r->path.stats();
        n.rails.push_back({.peer = clean(p->name),
                           .peer_id = id,
                           .path = i,
                           .rail = r->rail,
                           .device = r->fabric.name,
                           .up = r->works(),
                           .bytes_per_s = put.bytes_per_s.load(),
                           .sent = put.puts.read(),
                           .received = put.taken.read(),
                           .bytes_sent = put.put_bytes.read(),
                           .bytes_received = put.taken_bytes.read(),
                           .copied_bytes = put.again_bytes.read(),
                           .errors = put.errors.read()});
      }
    }
  }
  n.uptime_ns = now_ - started_;
  return n;
}

}  // namespace penstock
