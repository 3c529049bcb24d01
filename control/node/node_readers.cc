// Who reads a lane: joined, counted, watched, parted.
#include <algorithm>
#include <fmt/format.h>
#include <sys/epoll.h>

#include "control/node/node.h"
#include "dataplane/base/event.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

// What a link could not send as it was: the peer got a notice instead.
void lose_on_way(Totals& t, const OutLaneStats& s) {
  t.lose(Drop::kTooBig, s.too_big.read());
  t.lose(Drop::kMalformed, s.broken.read());
}

}  // namespace

// A subscriber that misses a lane in silence would be worse than one that is detached.
void Node::turn_out(ClientRecord& c, Errc code, const std::string& why) {
  if (c.turned_out) return;
  c.turned_out = true;
  note(EventName::kClientDetached, fmt::format("client {} is detached: {}", c.name, why));
  c.session->refuse(0, static_cast<uint32_t>(code), why);
}

void Node::join_subscription(LaneRecord& lane, Subscription& s) {
  if (s.lanes.contains(lane.id)) return;
  ClientRecord& c = *s.client;
  auto joined = join(lane, c.positions, !s.overflow.holds_back());
  if (!joined.ok()) {
    const bool slots = c.positions.slots.taken() == kPositionSlots;
    turn_out(c, Errc::kFull,
             fmt::format("lane {} of {} cannot be read: {}; {}", lane.id, lane.name,
                         text(joined.error()),
                         slots ? fmt::format("a client can read {} lanes at once", kPositionSlots)
                               : fmt::format("a lane can have {} readers", kMaxReaders)));
    return;
  }
  ReaderRecord& r = **joined;
  r.subscription = &s;
  r.before = r.seen = lane.came();
  s.lanes[lane.id] = &r;
  // Only the writer of this lane gets the event, and only into this subscription's epoll: nobody
  // can fill up or block what wakes somebody else.
  auto event = make_event();
  auto memory = lane.memory.read_only_fd();
  auto page = lane.page_memory.read_only_fd();
  if (!event.ok() || !memory.ok() || !page.ok()) {
    part(r, Drop::kNone);
    turn_out(c, Errc::kFull,
             fmt::format("lane {} of {} cannot be read: out of descriptors, raise RLIMIT_NOFILE "
                         "of the node",
                         lane.id, lane.name));
    return;
  }
  r.event = Fd(*event);
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  epoll_ctl(s.news.get(), EPOLL_CTL_ADD, r.event.get(), &e);
  attach::Join m;
  m.subscription = s.id;
  m.lane_id = lane.id;
  m.start = r.start;
  m.geometry = lane.geometry;
  m.index = r.index;
  m.generation = r.generation;
  m.slot = r.slot;
  m.lossy = r.lossy ? 1 : 0;
  m.inbox = lane.kind == LaneKind::kInbox ? 1 : 0;
  m.origin_node = lane.peer != nullptr ? lane.peer->id : config_.id;
  // An inbox has the name of its group.
  peer::set_text(m.publisher, lane.kind == LaneKind::kInbox ? bare_name(lane.name)
                                                            : std::string_view(lane.name));
  c.session->send(m, {(*memory).get(), (*page).get()});
  tell_writer(r, r.event.get());
  if (lane.kind == LaneKind::kLane) r.event.reset();
}

// A mark in the lane's page and a slot in the reader's table. From here on the writer holds what it
// publishes for this reader.
Result<ReaderRecord*> Node::join(LaneRecord& lane, PositionTableRecord& table, bool lossy) {
  const auto slot = table.slots.take();
  if (!slot) return Errc::kFull;
  // A pusher may send as soon as it sees the mark, before we have seen its head. And it may have
  // sent one more while its last reader was leaving.
  const bool owed = lane.pusher && !lossy && lane.desk.live() == 0;
  auto joined = owed ? lane.desk.join_from(lane.parted) : lane.desk.join(lossy);
  if (!joined.ok()) {
    table.slots.give_back(*slot);
    return joined.error();
  }
  auto r = std::make_unique<ReaderRecord>();
  r->lane = &lane;
  r->index = (*joined).index;
  r->generation = (*joined).generation;
  r->start = (*joined).start;
  r->lossy = lossy;
  r->table = &table;
  r->slot = *slot;
  ReaderRecord& made = *r;
  lane.readers[r->index] = std::move(r);
  return &made;
}

// How the lane's writer sees the position of the reader and wakes it. `event` -1: a worker reads.
void Node::tell_writer(ReaderRecord& r, int event) {
  LaneRecord& lane = *r.lane;
  const bool worker = r.subscription == nullptr;
  const uint32_t reading = r.source != nullptr ? r.source->group->worker : lane.worker;
  if (lane.writer != nullptr) {
    const Wake wake =
        worker ? worker_wake(reading, lane.bells, lane.bell_slot)
               : Wake{.event_fd = event, .bell = nullptr, .bell_bit = 0, .sleeper = nullptr};
    errands(lane.worker)
        .send([w = lane.writer.get(), index = r.index, generation = r.generation,
               slot = r.position(),
               wake](Worker&, uint64_t) { w->attach_reader(index, generation, slot, wake); });
    return;
  }
  if (lane.publisher == nullptr) return;  // it died: nobody is held back
  auto table = r.table->memory.read_only_fd();
  if (!table.ok()) {
    note(EventName::kLaneRefused,
         fmt::format("lane {}: out of descriptors, {} holds it back", lane.id, r.table->id));
    return;
  }
  attach::Reader m;
  m.lane_id = lane.id;
  m.index = r.index;
  m.generation = r.generation;
  m.table = r.table->id;
  m.slot = r.slot;
  m.worker = worker ? static_cast<int32_t>(reading) : -1;
  lane.publisher->tables[r.table->id]++;
  if (worker) {
    lane.publisher->session->send(m, {(*table).get()});
  } else {
    lane.publisher->session->send(m, {(*table).get(), event});
  }
}

LaneReader::Join Node::worker_join(const ReaderRecord& r) const {
  return {.memory = r.lane->map.data(),
          .geometry = r.lane->geometry,
          .page = r.lane->page(),
          .index = r.index,
          .generation = r.generation,
          .slot = r.position(),
          .start = r.start,
          .lossy = false};
}

// What was lost on the way out of a lane is booked at that reader, what was lost on the way to a
// mirror at the mirror's readers too: each row says what its own reader got. A message too big for
// an inbox is booked where the group took it, and the inbox's notice of it counts as delivered. Of
// a client that lies, what it took by the last honest look.
//
// Where somebody else than the position knows what was delivered, that is what counts, so that the
// books can fail: the client's library counts what it shows, an out lane what was acknowledged.
// Only of a group's source the position is all there is; what its members got is in their inboxes.
Totals Node::totals(const ReaderRecord& r) const {
  Totals t;
  const ReaderSlot& slot = *r.position();
  const bool there = slot.generation.load() == r.generation;
  // The head is read after it: an honest reader cannot be ahead of that.
  const uint64_t said = there ? slot.position.load() : r.start;
  const uint64_t head = r.lane->head();
  const bool client = r.forward == nullptr && r.source == nullptr;
  const bool lie = client && (r.lied || said > head || said < r.last_seen);
  t.position = std::clamp(lie ? r.last_seen : said, r.start, std::max(head, r.start));
  t.sent = head > r.start ? head - r.start : 0;
  t.in_flight = head > t.position ? head - t.position : 0;
  t.delivered = t.position - r.start;
  if (!there) return t;
  t.lose(r.evicted ? r.why : Drop::kOverrun, slot.overrun.load());
  t.lose(Drop::kMalformed, slot.malformed.load());
  const bool conflates =
      r.subscription != nullptr && r.subscription->overflow.policy == attach::Policy::kConflate;
  t.lose(conflates ? Drop::kConflated : Drop::kOverLimit, slot.shed.load());
  const bool notices = r.lane->kind == LaneKind::kInbox;
  if (!notices) t.lose(Drop::kTooBig, slot.too_big.load());
  if (client && !lie)
    t.delivered = slot.shown.load() + slot.skipped.load() + (notices ? slot.too_big.load() : 0);
  if (r.forward != nullptr && r.forward->forward != nullptr) {
    Forward& f = *r.forward->forward;
    const OutLaneStats& s = f.out().stats();
    // Gaps are no messages; one may be counted a moment before it counts as sent.
    const uint64_t gaps = f.gaps().read();
    const uint64_t given = std::max(s.sent.read(), gaps) - gaps;
    const uint64_t flying = std::min(s.in_flight(), given);
    const uint64_t taken = f.taken().load();
    t.delivered = given - flying + f.skipped().read();
    t.in_flight = flying + (head > taken ? head - taken : 0);
    if (const uint64_t n = f.refused().read(); n != 0) t.dropped[Drop::kRefused] = n;
    if (const uint64_t n = f.passed_over().read(); n != 0) t.dropped[Drop::kOverrun] += n;
    lose_on_way(t, s);
  }
  if (r.source != nullptr && r.source->source != nullptr) {
    t.lose(Drop::kTooBig, r.source->source->too_big().read());
    t.lose(Drop::kRefused, r.source->source->refused().read());
    for (const auto& [why, n] : r.source->lost)
      t.lose(why, n);
    for (const auto& f : r.lane->forwards) {
      if (f->group != r.source->group || f->remote == nullptr) continue;
      lose_on_way(t, f->remote->out().stats());
      t.lose(Drop::kMalformed, f->remote->unreadable().read());
    }
  }
  return t;
}

// The reader is no more: its mark and its slot are free and the writer forgets it. What it was owed
// and did not take is dropped for the reason `undelivered`; kNone: it left of its own accord and is
// owed nothing beyond what it took.
void Node::part(ReaderRecord& r, Drop undelivered) {
  LaneRecord& lane = *r.lane;
  turn(false, r.slow, EventName::kSlowReader, reader_name(r), {},
       fmt::format("a reader of {} (lane {}) that held it back is gone", lane.name, lane.id));
  tell_slow_path(r, false);
  Totals t = totals(r);
  lane.parted = std::max(lane.parted, r.start + t.sent);
  if (r.evicted) undelivered = r.why;
  if (undelivered == Drop::kNone) {
    t.sent = r.forward == nullptr ? t.position - r.start : settled(t);
  } else if (t.sent > settled(t)) {
    t.dropped[undelivered] += t.sent - settled(t);
  } else {
    t.delivered -= std::min(t.delivered, settled(t) - t.sent);  // counted, and died
  }
  lane.left.add(t);
  ended_.delivered[static_cast<size_t>(taker(r))] += t.delivered;
  lane.desk.leave(r.index);
  if (r.subscription != nullptr) {
    r.subscription->came.add(came(r));
    r.subscription->lanes.erase(lane.id);
  }

  auto node = lane.readers.extract(r.index);
  std::shared_ptr<ReaderRecord> gone(std::move(node.mapped()));
  const auto give_back = [gone] { gone->table->slots.give_back(gone->slot); };
  if (lane.writer != nullptr) {
    errands(lane.worker)
        .send([w = lane.writer.get(), index = gone->index](Worker&,
                                                           uint64_t) { w->detach_reader(index); },
              give_back);
    return;
  }
  give_back();
  if (lane.publisher == nullptr) return;
  attach::ReaderGone m;
  m.lane_id = lane.id;
  m.index = gone->index;
  m.generation = gone->generation;
  auto& users = lane.publisher->tables;
  const auto it = users.find(gone->table->id);
  if (it != users.end() && --it->second == 0) {
    m.table = it->first;
    users.erase(it);
  }
  lane.publisher->session->send(m);
}

// It reads what is left, lets go, and answers Released.
void Node::ask_to_leave(const ReaderRecord& r) {
  attach::Leave m;
  m.subscription = r.subscription->id;
  m.lane_id = r.lane->id;
  m.slot = r.slot;
  m.generation = r.generation;
  r.subscription->client->session->send(m);
}

// A position beyond the head or going backwards is a lie: the writer ignores it, and the reader is
// removed so that it does not hold anybody back for ever. Its inbox stays held until the group has
// turned away from it: what is in there goes to the others.
void Node::check_readers(LaneRecord& lane) {
  const uint64_t head = lane.head();
  uint64_t slowest = head;
  for (const auto& [index, r] : lane.readers)
    if (!r->lossy && !r->evicted) slowest = std::min(slowest, r->let_go());
  tell_held(lane, head, slowest);
  std::vector<std::pair<Subscription*, std::string>> slow;
  std::vector<Subscription*> copied;
  for (auto& [index, r] : lane.readers) {
    if (r->subscription == nullptr || r->evicted) continue;
    const uint64_t said = r->let_go();
    // The head was read first: an honest reader cannot be ahead of the one there is now.
    if (said <= head || said <= lane.head()) {
      if (said >= r->last_seen) {
        if (said != r->last_seen) r->held_since = 0;
        r->last_seen = said;
        if (stands_at_copied(lane, *r)) copied.push_back(r->subscription);
        if (auto why = too_slow(lane, *r, slowest); !why.empty())
          slow.emplace_back(r->subscription, std::move(why));
        continue;
      }
    }
    r->evicted = r->lied = true;
    note(EventName::kReaderEvicted,
         fmt::format("client {} claims position {} of lane {} ({}), which has {}: evicted",
                     r->subscription->client->name, said, lane.id, lane.name, head));
    ask_to_leave(*r);
    if (lane.kind == LaneKind::kInbox) {
      end_subscription(*r->subscription, true);
    } else {
      lane.parted =
          std::max(lane.parted, head);  // the next one, if it was the last, is owed the rest
      lane.desk.evict(index);
    }
  }
  for (Subscription* s : copied)
    end_by_node(*s, Drop::kNotZeroCopy,
                fmt::format("a message of {} for the subscription to {}, which requires zero copy, "
                            "came by frames: {}",
                            lane.name, bare_name(s->filter), why_copied(lane)));
  for (const auto& [s, why] : slow)
    disconnect(*s, why);
}

// By the policy of its subscription: how it is too slow, or nothing. A reader holds its publisher
// back when that found no room, nothing came since, and nobody has let go of less.
std::string Node::too_slow(const LaneRecord& lane, ReaderRecord& r, uint64_t slowest) const {
  const Subscription& s = *r.subscription;
  const attach::Overflow& o = s.overflow;
  const uint64_t head = lane.head();
  const uint64_t at = r.last_seen;
  const bool ends = o.policy == attach::Policy::kDisconnect;
  if (s.waiting || at >= head || at > slowest || !lane.held(head)) {
    r.held_since = 0;
  } else if (r.held_since == 0) {
    r.held_since = now_;
  }
  if (s.waiting || s.mode == Mode::kGroup || !(ends || o.block_ns != 0)) return {};
  // The publisher may not have tried again since it found no room: one that moves is not to blame.
  if (r.held_since != 0 && now_ - r.held_since >= (ends ? 2 * kTickNs : o.block_ns))
    return fmt::format("it held {} back for {} ms", lane.name, (now_ - r.held_since) / 1'000'000);
  if (o.limit_messages != 0 && head > at && head - at > o.limit_messages)
    return fmt::format("{} messages of {} wait, more than {}", head - at, lane.name,
                       o.limit_messages);
  const uint64_t bytes = o.limit_bytes != 0 ? lane.bytes_from(at) : 0;
  if (bytes > o.limit_bytes)
    return fmt::format("{} bytes of {} wait, more than {}", bytes, lane.name, o.limit_bytes);
  return {};
}

// The whole subscription ends: going on without this lane would look as if its publisher were
// silent.
void Node::disconnect(Subscription& s, const std::string& why) {
  const bool block = s.overflow.policy == attach::Policy::kBlock;
  const std::string text = fmt::format(
      "the subscription to {} was too slow for its policy {}: {}; {}, or let it drop_oldest",
      bare_name(s.filter), block ? "block" : "disconnect", why,
      block ? "give it more time or the publisher a larger lane" : "give it a larger limit");
  end_by_node(s, Drop::kTooSlow, text);
}

// Its readers hold nobody back from here on; what they did not take they are told. What lies in an
// inbox goes to the others of the group.
void Node::end_by_node(Subscription& s, Drop undelivered, const std::string& text) {
  if (s.over) return;
  if (s.waiting) {
    s.waiting->peers.clear();
    finish_subscribe(s);
  }
  for (auto& [id, r] : s.lanes) {
    if (std::exchange(r->evicted, true)) continue;
    r->last_seen = std::max(r->last_seen, std::min(r->let_go(), r->lane->head()));
    r->why = undelivered;
    if (r->lane->inbox_of == nullptr) r->lane->desk.evict(r->index, r->why);
    ask_to_leave(*r);
  }
  if (s.mode == Mode::kGroup) {
    end_subscription(s, true);
  } else {
    s.over = true;
    unwish(s.mode, s.filter);
    broadcasts_.remove(s.filter, &s);
  }
  note(EventName::kSubscriptionEnded, fmt::format("client {}: {}", s.client->name, text));
  attach::Ended m;
  m.subscription = s.id;
  peer::set_text(m.text, text);
  s.client->session->send(m);
}

}  // namespace penstock
