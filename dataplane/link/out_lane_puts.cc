// What an OutLane gives to its PutPath, and what it sends of it when that did not get there.
#include <algorithm>

#include "dataplane/link/chain.h"
#include "dataplane/link/out_lane.h"

namespace penstock {
namespace {

// So many bytes of a message are looked through at a time.
constexpr uint64_t kStretch = 1 << 20;

}  // namespace

// Only where its place is granted is it put, by whomever: an empty mirror takes more, but by
// frames.
bool OutLane::place_granted(const Message& m) const {
  return arena_next(arena_place(fill_, m.len, arena_size_), m.len) - consumed_.arena <= arena_size_;
}

// The message at next_, which is large, goes that way, or not; or waits until it can.
PutPath::Take OutLane::put_next() {
  const Message& m = staged_[staged_at_];
  const uint64_t arena = arena_place(fill_, m.len, arena_size_);
  if (!place_granted(m)) return by_frames();
  const PutPath::Take take = offer(m, next_, arena, 0, m.len);
  if (take != PutPath::Take::kTaken) return take;
  record(next_) = {m.position,    arena, m.len, static_cast<uint32_t>(BlockMap::blocks(m.len)),
                   Kind::kPieces, 0};
  if (seat_ != nullptr) seat_->begun(m, next_, arena, false, true);
  finish_pieces();
  return take;
}

PutPath::Take OutLane::by_frames() {
  stats_.held.store(0);
  return PutPath::Take::kNo;
}

// `len` bytes of the message, from `offset` on. kFull, too: it waits until there is a path.
PutPath::Take OutLane::offer(const Message& m, uint64_t position, uint64_t arena, uint64_t offset,
                             uint64_t len) {
  PutPath::Take take = PutPath::Take::kLater;
  if (m.len >= puts_from_)
    take = puts_->put(*this,
                      {.alias = alias_,
                       .epoch = epoch_,
                       .position = position,
                       .arena_position = arena,
                       .message_len = m.len,
                       .offset = offset,
                       .time = m.time_ns,
                       .key = m.key,
                       .source = m.source,
                       .topic = m.topic,
                       .parts = m.parts},
                      m.data, len);
  const bool waits = take == PutPath::Take::kLater && waits_for_puts(m.len);
  stats_.held.store(waits ? position + 1 : 0);
  return waits ? PutPath::Take::kFull : take;
}

// What did not get there goes that way once more, and no byte that did: the message would be whole,
// and be given away, before the last of the put has landed.
PutPath::Take OutLane::put_again() {
  Rest& r = rests_.front();
  const SentMessage& s = record(r.position);
  Message m;
  if (!feed_.look(s.source, m) || m.len != s.len) return by_frames();
  const uint64_t most = std::min(r.end - r.at, kStretch);
  const uint64_t len = std::min(most, blocks_.gap(s.arena + r.at, most) * kArenaAlign);
  const PutPath::Take take = offer(m, r.position, s.arena, r.at, len);
  if (take == PutPath::Take::kTaken) r.at += len;
  return take;
}

void OutLane::put_landed(uint64_t position, uint64_t offset, uint64_t bytes) {
  if (position < delivered_) return;
  SentMessage& s = record(position);
  if (s.kind != Kind::kPieces || s.left == 0) return;
  s.left -= static_cast<uint32_t>(blocks_.set(s.arena + offset, bytes));
  if (s.left == 0) blocks_.clear(s.arena, s.len);
}

void OutLane::put_ended(uint64_t position, uint64_t offset, uint64_t bytes) {
  if (position >= delivered_ && record(position).left != 0)
    rests_.push_back({position, offset, offset + bytes, false, false});
}

void OutLane::put_rest(uint64_t position, uint64_t from) {
  put_landed(position, 0, std::min(from, record(position).len) & ~(kArenaAlign - 1));
  rests_.push_back({position, 0, record(position).len, false, true});
}

// The first of them with something left to send is in front.
bool OutLane::find_rest() {
  for (; !rests_.empty(); rests_.erase(rests_.begin())) {
    Rest& r = rests_.front();
    if (r.position < delivered_) continue;
    const SentMessage& s = record(r.position);
    while (s.kind == Kind::kPieces && s.left != 0 && r.at < r.end) {
      const uint64_t left = r.end - r.at;
      const uint64_t run = blocks_.run(s.arena + r.at, std::min(left, kStretch));
      if (run == 0) return true;
      r.at += std::min(left, run * kArenaAlign);
    }
  }
  stats_.held.store(0);
  return false;
}

Sent OutLane::write_put_rest(TxFrame& frame, uint32_t body_room) {
  Rest& r = rests_.front();
  const uint64_t left = r.end - r.at;
  Sent what{this, r.position, r.at, static_cast<uint32_t>(std::min<uint64_t>(left, body_room)),
            true};
  rewrite(what, frame, body_room);
  r.at += what.count;
  r.framed = true;
  return what;
}

}  // namespace penstock
