// Messages that go down a chain: what a link takes of them, and what it passes on.
#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/link/chain.h"
#include "dataplane/link/link.h"
#include "dataplane/link/peers.h"
#include "dataplane/link/put_path.h"
#include "dataplane/wire/crc32c.h"
#include "dataplane/wire/relay.h"

namespace penstock {
namespace {

constexpr uint64_t kReportBytes = 64 << 10;
constexpr uint64_t kReportNs = 100'000;
constexpr uint32_t kMostAgain = 16;  // times, each piece, while none arrives

}  // namespace

// --- in ---

Drop LinkRelay::on_announce(std::span<const std::byte> body, uint64_t now) {
  const auto a = parse_announce(body);
  if (!a) return Drop::kBadFrame;
  const FragmentHeader& h = a->fragment.header;
  InLane* lane = nullptr;
  if (const Drop d = link_.find_in(h.alias, h.epoch, lane); lane == nullptr) return d;
  const uint32_t part = crc_part(a->fragment.piece);
  const Drop d =
      a->puts ? lane->on_announced(a->fragment, part) : lane->on_piece(a->fragment, part);
  pass_on(lane);
  if (a->puts && d == Drop::kNone) ask_for(*a, lane, now);
  if (!a->puts && (d == Drop::kNone || d == Drop::kDuplicate)) lane->expect(h.position, a->relay);
  link_.touch(lane, now);
  return d;
}

// Once for a message. When its relay cannot be asked, the source hears so.
void LinkRelay::ask_for(const Announce& a, InLane* lane, uint64_t now) {
  const uint64_t position = a.fragment.header.position;
  Link* relay = peers_ != nullptr ? peers_->to(a.relay) : nullptr;
  if (relay != nullptr && relay != &link_ && relay->relay_.puts_ != nullptr &&
      relay->relay_.puts_->ask_for(link_, *lane, position))
    return;
  refuse(lane, position, now);
}

void LinkRelay::refuse(InLane* lane, uint64_t position, uint64_t now) {
  if (lane->relay_.refused.size() < lane->relay_.refused.capacity())
    lane->relay_.refused.push_back(position);
  report(lane, now);
}

// What cannot be done is not done: the source finds out.
Drop LinkRelay::on_pass(std::span<const std::byte> body) {
  const auto p = parse_pass(body);
  if (!p) return Drop::kBadFrame;
  InLane* lane = nullptr;
  if (const Drop d = link_.find_in(p->alias, p->epoch, lane); lane == nullptr) return d;
  Link* to = peers_ != nullptr ? peers_->to(p->to) : nullptr;
  bool taken = to != nullptr && to != &link_;
  if (taken && p->puts) {
    PutPath* puts = to->relay_.puts_;
    taken = puts != nullptr && puts->pass(link_, *lane, *p);
  } else if (taken) {
    taken = to->relay_.begin(*p, lane);
  }
  if (!taken) stats_.refused.add(1);
  return Drop::kNone;
}

// One that is not announced yet has to come again. Else it is acknowledged whatever becomes of it:
// that a message is not wanted any more is between its receiver and its source.
Drop LinkRelay::on_relayed(std::span<const std::byte> body, std::span<const std::byte> payload,
                           uint64_t now) {
  const auto r = parse_relayed(body, payload);
  if (!r) return Drop::kBadFrame;
  stats_.frames_in.add(1);
  stats_.bytes_in.add(r->piece.size());
  Link* source = peers_ != nullptr ? peers_->with(r->header.connection) : nullptr;
  InLane* lane = nullptr;
  Drop d = Drop::kNoLane;
  if (source != nullptr) {
    const auto* e = source->in_.find(r->header.alias);
    if (e != nullptr && e->epoch == r->header.epoch) lane = e->lane;
  }
  if (lane != nullptr) d = lane->on_relayed(link_.config_.peer_id, *r, link_.part_);
  if (d == Drop::kNone) {
    source->relay_.came(lane, r->piece.size(), now);
  } else if (d != Drop::kDuplicate) {
    stats_.unexpected.add(1);
    if (lane != nullptr) return d;
    link_.stats_.drops.add(d);
  }
  return Drop::kNone;
}

// More of the lane has come.
void LinkRelay::pass_on(const InLane* lane) {
  if (lane->relay_.passings != 0 && peers_ != nullptr) peers_->news(lane);
}

// A message that this link's peer sent comes by another node: its credit and how far it is are for
// this link to tell.
void LinkRelay::came(InLane* lane, uint64_t bytes, uint64_t now) {
  link_.touch(lane, now);
  pass_on(lane);
  RelayedLane& r = lane->relay_;
  r.news += bytes;
  const bool due = r.news >= kReportBytes || r.report_position != lane->head_;
  report(lane, due ? now : now + kReportNs);
}

void LinkRelay::report(InLane* lane, uint64_t at) {
  if (!std::exchange(lane->relay_.reporting, true)) reporting_.push_back(lane);
  report_at_ = std::min(report_at_, at);
}

void LinkRelay::on_put_landed(InLane* lane, uint64_t position, uint64_t offset, uint64_t bytes,
                              uint64_t now) {
  stats_.put_bytes_in.add(bytes);
  lane->on_put_landed(position, offset, bytes);
  came(lane, bytes, now);
}

Drop LinkRelay::on_landed(std::span<const std::byte> body) {
  const auto l = parse_landed(body);
  if (!l) return Drop::kBadFrame;
  const auto* e = link_.out_.find(l->alias);
  if (e != nullptr && e->lane != nullptr && e->epoch == l->epoch) e->lane->on_landed(*l);
  return Drop::kNone;
}

// --- passing on ---

bool LinkRelay::begin(const Pass& p, InLane* from) {
  const uint64_t size = from->arena_size_;
  const bool possible = p.message_len != 0 && p.message_len <= size &&
                        p.arena_position % kArenaAlign == 0 &&
                        arena_place(p.arena_position, p.message_len, size) == p.arena_position;
  if (!possible || passings_.count == passings_.list.size()) return false;
  Passing n{.id = passings_.next_id++,
            .from = from,
            .position = p.position,
            .arena = p.arena_position,
            .len = p.message_len,
            .connection = p.to_connection,
            .alias = p.to_alias,
            .epoch = p.to_epoch,
            .to_position = p.to_position};
  for (size_t i = 0; i < passings_.count; i++) {
    const Passing& o = passings_.list[i];
    const bool same = o.connection == n.connection && o.alias == n.alias && o.epoch == n.epoch &&
                      o.to_position == n.to_position && o.from == from;
    if (same) return true;
  }
  if (from->landed(n, 0, kArenaAlign) == InLane::kGone) return false;
  passings_.list[passings_.count++] = n;
  passings_.ready = true;
  from->relay_.passings++;
  return true;
}

void LinkRelay::drop(size_t i) {
  passings_.list[i].from->relay_.passings--;
  std::move(passings_.list.begin() + static_cast<ptrdiff_t>(i) + 1,
            passings_.list.begin() + static_cast<ptrdiff_t>(passings_.count),
            passings_.list.begin() + static_cast<ptrdiff_t>(i));
  passings_.count--;
}

void LinkRelay::forget(const InLane* lane) {
  if (puts_ != nullptr && lane->relay_.puts != 0) puts_->forget(lane);
  for (size_t i = passings_.count; i != 0; i--)
    if (passings_.list[i - 1].from == lane) drop(i - 1);
}

void LinkRelay::look_at(const InLane* lane) {
  for (size_t i = 0; i < passings_.count; i++)
    passings_.ready |= passings_.list[i].from == lane;
}

// The session is over, or the link leaves its worker.
void LinkRelay::end() {
  while (passings_.count != 0)
    drop(passings_.count - 1);
  passings_.ready = false;
  link_.in_.for_each([this](InLane& lane) {
    if ((lane.relay_.passings | lane.relay_.puts) != 0 && peers_ != nullptr) peers_->forget(&lane);
    lane.relay_.reporting = false;
  });
  reporting_.clear();
  report_at_ = chains_at_ = kNever;
}

void LinkRelay::leave(InLane* lane) {
  if ((lane->relay_.passings | lane->relay_.puts) != 0 && peers_ != nullptr) peers_->forget(lane);
  if (lane->relay_.reporting) std::erase(reporting_, lane);
  lane->relay_.reporting = false;
}

// --- out ---

// The oldest first: its receiver delivers it before the others. Pieces are as large as they came.
size_t LinkRelay::send(std::span<TxFrame> frames, uint64_t now) {
  size_t n = 0;
  for (size_t i = 0; i < passings_.count;) {
    Passing& p = passings_.list[i];
    const uint64_t id = p.id;
    while (p.sent < p.len) {
      if (n == frames.size() || !link_.may_send(now)) return n;
      Sent what{nullptr, id, p.sent, 0, true, Carry::kRelayed};
      what.count = piece_size(p, p.sent);
      if (!put(what, frames[n])) break;
      passings_.list[i].sent += what.count;
      passings_.list[i].on_way++;
      link_.send_contents(frames[n++], what, false, now);
    }
    if (i < passings_.count && passings_.list[i].id == id) i++;
  }
  passings_.ready = false;
  return n;
}

uint32_t LinkRelay::piece_size(const Passing& p, uint64_t offset) const {
  const uint64_t room = (link_.body_room() - kFragmentHeaderSize) & ~(kArenaAlign - 1);
  return static_cast<uint32_t>(std::min(p.len - offset, room));
}

// False: it has not come yet, or (then the message is given up) is here no longer.
bool LinkRelay::put(const Sent& what, TxFrame& frame) {
  Passing* p = passings_.find(what.position);
  const uint64_t here = p->from->landed(*p, what.offset, what.count);
  if (here == InLane::kGone) {
    stats_.gone.add(1);
    drop(static_cast<size_t>(p - passings_.list.data()));
    return false;
  }
  if (here < what.count) return false;
  std::byte* at = frame.data + kHopHeaderSize;
  write_relayed({p->connection, p->alias, p->epoch, what.count, p->to_position, what.offset,
                 p->from->digest_of(*p, what.offset, what.count)},
                {at, kRelayedHeaderSize});
  const std::byte* bytes = p->from->bytes_of(*p, what.offset, what.count);
  frame.len = kHopHeaderSize + kRelayedHeaderSize;
  frame.region = p->from->region_;
  if (frame.region == nullptr) {
    std::memcpy(at + kRelayedHeaderSize, bytes, what.count);
    frame.len += what.count;
  } else {
    frame.payload = bytes;
    frame.payload_len = what.count;
  }
  stats_.frames_out.add(1);
  stats_.bytes_out.add(what.count);
  return true;
}

// A piece that was lost. Count 0: nothing of it has to arrive any more.
void LinkRelay::rewrite(Sent& what, TxFrame& frame) {
  Passing* p = passings_.find(what.position);
  if (p != nullptr && ++p->again > kMostAgain * std::max(1U, p->on_way)) {
    // Its receiver does not take it, and other lanes wait behind it.
    drop(static_cast<size_t>(p - passings_.list.data()));
    stats_.gone.add(1);
    p = nullptr;
  }
  if (p != nullptr) what.count = std::min(what.count, piece_size(*p, what.offset));
  if (p == nullptr || !put(what, frame)) {
    what.count = 0;
  } else {
    p->on_way++;
  }
}

// A packet, or what was to be sent once more, is done with.
void LinkRelay::done(const Sent& what, bool arrived) {
  Passing* p = passings_.find(what.position);
  if (p == nullptr) return;
  p->again = arrived ? 0 : p->again;
  if (--p->on_way != 0 || p->sent != p->len) return;
  drop(static_cast<size_t>(p - passings_.list.data()));
}

size_t LinkRelay::send_landed(std::span<TxFrame> frames, uint64_t now) {
  size_t n = 0;
  while (n < frames.size() && !reporting_.empty()) {
    InLane* lane = reporting_.back();
    const bool refuses = !lane->relay_.refused.empty();
    TxFrame& f = frames[n++];
    write_landed(refuses ? lane->refusal() : lane->report(),
                 {f.data + kHopHeaderSize, kLandedSize});
    lane->relay_.reporting = refuses && (!lane->relay_.refused.empty() || lane->relay_.news != 0);
    if (!lane->relay_.reporting) reporting_.pop_back();
    f.len = kHopHeaderSize + kLandedSize;
    link_.finish(f, FrameType::kLanded, 0, link_.peer_.connection, now);
  }
  if (reporting_.empty()) report_at_ = kNever;
  return n;
}

void LinkRelay::look_at_chains(uint64_t now) {
  chains_at_ = kNever;
  link_.out_.for_each([&](OutLane& lane) {
    if (lane.seat_ == nullptr) return;
    if (lane.seat_->look_at() <= now) lane.seat_->look(now);
    chains_at_ = std::min(chains_at_, lane.seat_->look_at());
  });
}

}  // namespace penstock
