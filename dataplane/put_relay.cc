#include "dataplane/put_relay.h"

#include <algorithm>
#include <utility>

#include "dataplane/link/link.h"
#include "dataplane/port.h"
#include "dataplane/rails.h"
#include "dataplane/rdma_path.h"
#include "dataplane/wire/relay.h"

namespace penstock {
namespace {

const PutMemory* memory_of(const std::vector<PutMemory>& known, const RdmaPath& rail) {
  const auto it = std::ranges::find(known, rail.device(), &PutMemory::device);
  return it == known.end() ? nullptr : &*it;
}

}  // namespace

PutRelay::PutRelay(Rails& rails) : rails_(rails) {
  rails.link().relay_.set_puts(&rails);
  asked_.reserve(kMost);
  moving_.reserve(2 * kMost);
}

PutRelay::~PutRelay() {
  rails_.link().relay_.set_puts(nullptr);
}

// --- the receiver ---

// By the rail with the least under way, of those by whose device the mirror is known. Only into a
// place that is granted: an empty mirror takes more, but by frames.
bool PutRelay::ask_for(Link& source, InLane& lane, uint64_t position) {
  if (asked_.size() == kMost || lane.has_whole(position)) return false;
  const InLane::Waiting& w = lane.ring_[position & lane.ring_mask_];
  if (arena_next(w.arena, w.len) - lane.granted_.arena > lane.arena_size_) return false;
  RdmaPath* rail = nullptr;
  for (RdmaPath* r : rails_.rails()) {
    if (!r->works() || r->full() || memory_of(lane.put_memory_, *r) == nullptr) continue;
    if (rail == nullptr || r->load().under_way < rail->load().under_way) rail = r;
  }
  if (rail == nullptr || !lane.hold(position, w.arena)) return false;
  const PutMemory& memory = *memory_of(lane.put_memory_, *rail);
  const Name name{source.connection(), lane.alias(), lane.epoch(), position};
  (void)rail->connection()->note({.kind = PassNote::Kind::kGrant,
                                  .connection = name.connection,
                                  .alias = name.alias,
                                  .epoch = name.epoch,
                                  .position = position,
                                  .message_len = w.len,
                                  .address = memory.address + (w.arena & (lane.arena_size_ - 1)),
                                  .key = memory.remote_key,
                                  .source = source.config().peer_id});
  auto* region = static_cast<Region*>(lane.region_);
  if (region != nullptr) region->in_flight.take();
  lane.relay_.puts++;
  asked_.push_back({name, w.len, w.arena, &lane, &source, region, rail});
  return true;
}

bool PutRelay::begun(const RdmaPath& rail, const PutRecord& t) const {
  const Name name{t.connection, t.message.alias, t.message.epoch, t.message.position};
  return std::ranges::any_of(asked_, [&](const Asked& a) {
    return a.name == name && a.rail == &rail && a.len == t.message.message_len;
  });
}

void PutRelay::landed(const RdmaPath& rail, const PutRecord& t, uint64_t offset, uint64_t bytes,
                      uint64_t now) {
  const Name name{t.connection, t.message.alias, t.message.epoch, t.message.position};
  for (const Asked& a : asked_)
    if (a.name == name && a.rail == &rail && a.lane != nullptr)
      a.source->relay_.on_put_landed(a.lane, name.position, offset, bytes, now);
}

void PutRelay::release(Asked& a) {
  if (a.lane != nullptr) {
    a.lane->release(a.name.position, a.arena);
    a.lane->relay_.puts--;
  }
  if (a.memory != nullptr) a.memory->in_flight.give_back();
}

// --- the relay ---

PutRelay::Moving* PutRelay::find(const Name& name, uint64_t source) {
  const auto it = std::ranges::find_if(
      moving_, [&](const Moving& m) { return m.name == name && m.source == source; });
  return it == moving_.end() ? nullptr : &*it;
}

// The peer has been told as well, or will be soon: it asks for the message, or does not.
bool PutRelay::pass(Link& source, InLane& lane, const Pass& p) {
  const Name name{p.to_connection, p.to_alias, p.to_epoch, p.to_position};
  const uint64_t size = lane.arena_size_;
  if (p.message_len == 0 || p.message_len > size || p.arena_position % kArenaAlign != 0 ||
      arena_place(p.arena_position, p.message_len, size) != p.arena_position)
    return false;
  const auto can = [&](const RdmaPath* r) {
    return r->works() && memory_of(lane.put_memory_, *r) != nullptr;
  };
  if (std::ranges::none_of(rails_.rails(), can)) return false;
  const uint64_t node = source.config().peer_id;
  Moving* m = find(name, node);
  if (m != nullptr && (m->passed || m->over)) return !m->over;
  if (m == nullptr) {
    const auto passed = std::ranges::count(moving_, true, &Moving::passed);
    if (static_cast<size_t>(passed) == kMost || moving_.size() == moving_.capacity()) return false;
    m = &moving_.emplace_back();
    m->name = name;
    m->source = node;
  }
  m->since = source.last_call_;
  m->passed = true;
  m->over = m->granted && m->len != p.message_len;  // they do not agree
  m->from = &lane;
  m->memory = static_cast<Region*>(lane.region_);
  m->position = p.position;
  m->arena = p.arena_position;
  m->len = p.message_len;
  lane.relay_.puts++;
  if (m->memory != nullptr) m->memory->in_flight.take();
  if (m->granted) begin(*m);
  return true;
}

bool PutRelay::noted(RdmaPath& rail, const PassNote& note, uint64_t now) {
  const Name name{note.connection, note.alias, note.epoch, note.position};
  if (note.kind == PassNote::Kind::kOver) {
    const auto it = std::ranges::find_if(
        asked_, [&](const Asked& a) { return a.name == name && a.rail == &rail; });
    if (it == asked_.end()) return false;
    InLane* lane = it->lane;
    release(*it);
    // All that was put has landed.
    if (lane != nullptr && !lane->has_whole(name.position))
      it->source->relay_.refuse(lane, name.position, now);
    asked_.erase(it);
    return true;
  }
  Moving* m = find(name, note.source);
  if (m != nullptr && m->granted) return false;
  if (m == nullptr) {
    if (moving_.size() == moving_.capacity()) return false;  // it asks for more than it may
    m = &moving_.emplace_back();
    m->name = name;
    m->source = note.source;
  }
  m->since = now;
  m->granted = true;
  m->rail = &rail;
  m->address = note.address;
  m->key = note.key;
  if (!m->passed) {
    m->len = note.message_len;
  } else if (m->len != note.message_len) {
    m->over = true;
  } else {
    begin(*m);
  }
  return true;
}

// Source and receiver agree. What is not here any more, or cannot be held, does not go.
void PutRelay::begin(Moving& m) {
  const Passing p{.position = m.position, .arena = m.arena, .len = m.len};
  m.held = !m.over && m.from != nullptr && memory_of(m.from->put_memory_, *m.rail) != nullptr &&
           m.from->landed(p, 0, kArenaAlign) != InLane::kGone && m.from->hold(m.position, m.arena);
  m.over = !m.held;
}

// As large as they land, but worth a transfer. Of a slow peer no more is kept here than half of the
// arena: the others do not wait for it.
void PutRelay::put_parts(Moving& m, uint64_t now) {
  const Passing p{.position = m.position, .arena = m.arena, .len = m.len};
  const PutMemory& memory = *memory_of(m.from->put_memory_, *m.rail);
  constexpr uint64_t kMostAtOnce = 4 * kPart;
  if (m.from->fill_ > m.arena + std::max(m.len, m.from->arena_size_ / 2)) {
    if (m.late_since == 0) m.late_since = now;
    m.over = now - m.late_since >= kLateNs;
    if (m.over) return;
  }
  while (m.sent != m.len) {
    if (m.rail->full() || m.rail->passing() >= kUnderWay) {
      m.since = now;  // it is for others to get on
      return;
    }
    const uint64_t most = std::min(m.len - m.sent, kMostAtOnce);
    const uint64_t here = m.from->landed(p, m.sent, most);
    if (here == InLane::kGone) {
      m.over = true;
      return;
    }
    if (m.sent + here > m.here) m.since = now;
    m.here = std::max(m.here, m.sent + here);
    if (here < std::min(m.len - m.sent, kPart)) return;
    FragmentHeader h;
    h.alias = m.name.alias;
    h.epoch = m.name.epoch;
    h.position = m.name.position;
    h.message_len = m.len;
    h.offset = m.sent;
    h.parts = 1;
    m.rail->pass({.owner = nullptr,
                  .from = m.from->bytes_of(p, m.sent, here),
                  .bytes = here,
                  .local_key = memory.local_key,
                  .remote_address = m.address + m.sent,
                  .remote_key = m.key,
                  .message = h,
                  .connection = m.name.connection});
    m.sent += here;
    m.number = m.rail->connection()->begun();
    stats_.passed_bytes.add(here);
  }
}

void PutRelay::release(Moving& m) {
  if (std::exchange(m.released, true)) return;
  if (m.from != nullptr) {
    if (m.held) m.from->release(m.position, m.arena);
    m.from->relay_.puts--;
  }
  m.from = nullptr;
  if (m.memory != nullptr) std::exchange(m.memory, nullptr)->in_flight.give_back();
}

// Slow ways take their time.
uint64_t PutRelay::patience(const Moving& m) const {
  return m.passed && m.granted ? std::max(kStallNs, 4 * rails_.time_for(m.len)) : kStallNs;
}

// Our bytes are free when the device has read them; the place there is when the peer has seen all
// of them land. True: that was said.
bool PutRelay::finish(Moving& m, uint64_t now) {
  Connection& c = *m.rail->connection();
  if (m.over_since == 0) m.over_since = m.since = now;
  if (c.poster().done() != m.read) m.since = now;
  m.read = c.poster().done();
  if (m.number != 0 && c.posted() >= m.number) {
    const uint64_t settled = c.settle();
    if (m.until == 0) m.until = settled;
  }
  if (m.number == 0 || (m.until != 0 && c.poster().done() >= m.until)) release(m);
  if (!m.released && (now - m.since >= kRevokeNs || now - m.over_since >= kMostNs)) {
    stats_.revoked.add(1);
    m.rail->stop();
    return false;
  }
  if (!m.released || c.arrived() < m.number) return false;
  const bool told = c.note({.kind = PassNote::Kind::kOver,
                            .connection = m.name.connection,
                            .alias = m.name.alias,
                            .epoch = m.name.epoch,
                            .position = m.name.position});
  if (told) (m.sent == m.len && m.passed ? stats_.passed : stats_.given_up).add(1);
  return told;
}

// --- both ---

void PutRelay::turn(uint64_t now) {
  for (size_t i = 0; i < moving_.size();) {
    Moving& m = moving_[i];
    const bool stalled = !m.over && now - m.since >= patience(m);
    bool gone = false;
    if (!m.granted) {
      gone = stalled || m.from == nullptr;
      if (gone) release(m);
    } else if (m.rail->works()) {
      if (m.passed && !m.over && m.from != nullptr) put_parts(m, now);
      m.over |= stalled || m.sent == m.len || (m.passed && m.from == nullptr);
      gone = m.over && finish(m, now);
    }
    if (gone) {
      moving_.erase(moving_.begin() + static_cast<ptrdiff_t>(i));
    } else {
      i++;
    }
  }
  for (Asked& a : asked_) {
    if (a.lane != nullptr && !a.lane->has_whole(a.name.position)) continue;
    if (!a.rail->works()) continue;
    const uint64_t taken = a.rail->connection()->taken();
    if (a.whole_since == 0) a.whole_since = a.idle_since = now;
    if (taken != a.taken) a.idle_since = now;
    a.taken = taken;
    if (now - a.idle_since < kRevokeNs && now - a.whole_since < kMostNs) continue;
    stats_.revoked.add(1);
    a.rail->stop();
  }
}

// Nor does the receiver ask for anything more, when no other works.
void PutRelay::stopped(const RdmaPath& rail) {
  const bool last =
      std::ranges::none_of(rails_.rails(), [](const RdmaPath* r) { return r->works(); });
  const auto ends = [&](const Moving& m) { return m.rail == &rail || (last && m.rail == nullptr); };
  for (Moving& m : moving_)
    if (ends(m)) release(m);
  std::erase_if(moving_, ends);
  for (Asked& a : asked_)
    if (a.rail == &rail) release(a);
  std::erase_if(asked_, [&](const Asked& a) { return a.rail == &rail; });
}

// Its memory is kept until no device knows it any more.
void PutRelay::forget(const InLane* lane) {
  for (Moving& m : moving_) {
    if (m.from != lane) continue;
    m.from->relay_.puts--;
    m.from = nullptr;
    m.over = true;
  }
  for (Asked& a : asked_) {
    if (a.lane != lane) continue;
    a.lane->relay_.puts--;
    a.lane = nullptr;
  }
}

}  // namespace penstock
