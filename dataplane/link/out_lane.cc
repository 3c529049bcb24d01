#include "dataplane/link/out_lane.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/drop.h"
#include "dataplane/link/chain.h"
#include "dataplane/wire/batch.h"
#include "dataplane/wire/fragment.h"
#include "dataplane/wire/hop_header.h"

namespace penstock {
namespace {

// Up to here copying into a shared frame is cheaper than a second segment of its own.
constexpr uint64_t kCopyMax = 1024;
static_assert(kFragmentAlign == kArenaAlign);

bool is_gap(const Message& m) {
  return (m.flags & kFlagGap) != 0;
}

// Whether a message goes whole, among others, rather than from where it lies.
bool fits_batch(const Message& m) {
  return m.len <= kCopyMax && m.parts <= UINT8_MAX && m.topic <= UINT16_MAX;
}

// `source`: position of the first message that will not come.
Record gap_record(uint64_t source, uint64_t messages, uint64_t reason, uint64_t arena_bytes) {
  Record r;
  r.source = source;
  r.gap = true;
  r.key = messages;
  r.parts = static_cast<uint8_t>(reason);
  r.time = arena_bytes;
  return r;
}

Record message_record(const Message& m) {
  return {m.data,
          static_cast<uint32_t>(m.len),
          static_cast<uint16_t>(m.topic),
          static_cast<uint8_t>(m.parts),
          false,
          m.time_ns,
          m.key,
          m.source};
}

// A message that cannot go, or must not: its place in the order goes as a gap.
void make_gap(Message& m, Drop why) {
  const uint64_t position = m.position;
  m = Message{};
  m.position = m.source = position;
  m.flags = kFlagGap;
  m.key = 1;
  m.parts = static_cast<uint16_t>(why);
}

// How many of `left` bytes go into one FRAGMENT: whole blocks, or all.
uint32_t piece_size(uint64_t left, uint32_t body_room) {
  const uint64_t room = body_room - kFragmentHeaderSize;
  return static_cast<uint32_t>(left <= room ? left : room & ~(kArenaAlign - 1));
}

}  // namespace

OutLane::OutLane(uint32_t alias, uint32_t epoch, const LaneGeometry& mirror, Feed& feed,
                 Start start)
    : alias_(alias),
      epoch_(epoch),
      next_(start.position),
      fill_(start.arena),
      delivered_(start.position),
      settled_(start.position),
      consumed_(start),
      ring_mask_(mirror.ring_size() - 1),
      arena_size_(mirror.arena_size()),
      feed_(feed),
      ring_(mirror.ring_size()),
      digests_(mirror.ring_size()),
      blocks_(mirror.arena_size()),
      geometry_(mirror) {}

bool OutLane::refill() {
  staged_at_ = 0;
  staged_end_ = static_cast<uint32_t>(feed_.next(staged_));
  uint64_t bytes = 0;
  for (Message& m : std::span(staged_).first(staged_end_)) {
    if (m.len > arena_size_) [[unlikely]] {
      stats_.too_big.add(1);
      make_gap(m, Drop::kTooBig);
    } else if (is_gap(m)) [[unlikely]] {
      m.len = 0;
      m.source = m.position;
    } else if (m.len == 0 && m.parts > UINT8_MAX) [[unlikely]] {
      stats_.broken.add(1);
      make_gap(m, Drop::kMalformed);
    }
    bytes += m.len;
  }
  stats_.sent.add(staged_end_);
  stats_.bytes.add(bytes);
  return staged_end_ != 0;
}

// Whether the mirror has room for the message at `position` that ends at `end`.
bool OutLane::has_room(uint64_t position, uint64_t end, const Start& consumed) const {
  if (position - consumed.position > ring_mask_) return false;
  // Into an empty mirror goes whatever its arena can hold, however much the wrap wastes.
  return end - consumed.arena <= arena_size_ || consumed.position == position;
}

OutLane::Next OutLane::peek() {
  if (seat_ != nullptr && seat_->urgent()) [[unlikely]] {
    if (const Next next = peek_urgent(); next != Next::kDry) return next;
  }
  if (!rests_.empty() && find_rest()) [[unlikely]]
    return put_rest_waits() ? Next::kPutAgain : Next::kPutRest;
  if (staged_at_ == staged_end_ && !refill()) return Next::kDry;
  const Message& m = staged_[staged_at_];
  if (piece_at_ != 0) return Next::kPiece;
  const uint64_t end = arena_next(arena_place(fill_, m.len, arena_size_), m.len);
  if (!has_room(next_, end, consumed_)) return Next::kBlocked;
  if (fits_batch(m)) return Next::kBatch;
  if (waits_for_puts(m.len)) return Next::kPut;
  const bool puts = can_put(m);
  if (seat_ != nullptr) return peek_large(m, puts);
  return puts ? Next::kPut : Next::kPiece;
}

// What the loop counts stands in local variables: a store of a byte may change any member, as far
// as the compiler knows.
Sent OutLane::write_batch(std::span<std::byte> body, uint32_t& size) {
  const Message& first = staged_[staged_at_];
  const uint64_t from = next_;
  uint64_t next = next_;
  uint64_t fill = fill_;
  const uint64_t arena_size = arena_size_;
  const Start consumed = consumed_;
  BatchWriter out({alias_, epoch_, next, arena_place(fill, first.len, arena_size), first.source},
                  body);
  do {
    const Message& m = staged_[staged_at_];
    const uint64_t arena = arena_place(fill, m.len, arena_size);
    const uint64_t end = arena_next(arena, m.len);
    if (!fits_batch(m) || !has_room(next, end, consumed)) break;
    // Two calls, so that the fields of a message need not be merged with those of a gap.
    if (is_gap(m)) [[unlikely]] {
      if (!out.append(gap_record(m.source, m.key, m.parts, 0))) break;
      record(next) = {m.position, arena, m.key, 1, Kind::kGap, static_cast<uint8_t>(m.parts)};
    } else {
      if (!out.append(message_record(m))) break;
      record(next) = {m.position, arena, m.len, 1, Kind::kWhole, 0};
    }
    fill = end;
    next++;
    staged_at_++;
  } while (staged_at_ != staged_end_ || refill());
  next_ = next;
  fill_ = fill;
  size = static_cast<uint32_t>(out.size());
  return {this, from, 0, static_cast<uint32_t>(next - from), false};
}

// Header and piece of a FRAGMENT, behind the hop header of `frame`.
void OutLane::put_piece(const Message& m, const Sent& piece, TxFrame& frame) {
  const SentMessage& s = record(piece.position);
  const uint32_t len = piece.count;
  std::byte* at = frame.data + kHopHeaderSize;
  const std::byte* bytes = m.data + piece.offset;
  frame.len = kHopHeaderSize + kFragmentHeaderSize;
  frame.region = feed_.region();
  if (frame.region == nullptr) {
    bytes = at + kFragmentHeaderSize;
    std::memcpy(at + kFragmentHeaderSize, m.data + piece.offset, len);
    frame.len += len;
  } else {
    frame.payload = bytes;
    frame.payload_len = len;
  }
  FragmentHeader h{alias_,    epoch_, piece.position, s.arena, s.len,   piece.offset,
                   m.time_ns, m.key,  m.source,       m.topic, m.parts, len};
  if (s.len > kDigestFrom) h.digest = put_digest(piece, {bytes, len}, frame);
  write_fragment(h, {at, kFragmentHeaderSize});
}

// The digest is over the bytes as they went the first time, piece after piece. Nothing is said
// before the message's end; of one that did not go so, what another lane of the chain knows.
std::optional<uint32_t> OutLane::put_digest(const Sent& piece, std::span<const std::byte> bytes,
                                            TxFrame& frame) {
  SentMessage& s = record(piece.position);
  uint32_t& digest = digests_[piece.position & ring_mask_];
  const bool last = piece.offset + bytes.size() == s.len;
  frame.part = crc_part(bytes);
  frame.part_len = piece.count;
  if (piece.position == next_ && piece.offset == piece_at_) {
    digest_.add(piece.offset, bytes.size(), frame.part, s.len);
    if (last) digest = digest_.whole(s.len);
    s.digested = last;
  }
  if (!last) return std::nullopt;
  if (s.digested) return digest;
  return seat_ != nullptr ? seat_->digest_of(piece.position) : std::nullopt;
}

Sent OutLane::write_piece(TxFrame& frame, uint32_t body_room) {
  const Message& m = staged_[staged_at_];
  if (piece_at_ == 0) begin_pieces(m, false, false);
  const Sent what{this, next_, piece_at_, piece_size(m.len - piece_at_, body_room), true};
  put_piece(m, what, frame);
  piece_at_ += what.count;
  if (piece_at_ >= m.len) finish_pieces();
  return what;
}

// The message at next_ goes in pieces from now on.
void OutLane::begin_pieces(const Message& m, bool announced, bool puts) {
  record(next_) = {m.position,    arena_place(fill_, m.len, arena_size_),
                   m.len,         static_cast<uint32_t>(BlockMap::blocks(m.len)),
                   Kind::kPieces, 0};
  digest_ = {};
  if (seat_ != nullptr) seat_->begun(m, next_, record(next_).arena, announced, puts);
}

// The message at next_ is sent whole, or no longer worth it.
void OutLane::finish_pieces() {
  const SentMessage& s = record(next_);
  fill_ = arena_next(s.arena, s.len);
  next_++;
  staged_at_++;
  piece_at_ = 0;
}

// Its bytes can't be had any more. What arrived of it is overruled by a gap in its place.
void OutLane::give_up(uint64_t position) {
  SentMessage& s = record(position);
  if (s.kind == Kind::kPieces) blocks_.clear(s.arena, s.len);
  s.kind = Kind::kBroken;
  s.left = 1;
  stats_.broken.add(1);
  if (seat_ != nullptr) seat_->gave_up(position);
  if (position == next_) finish_pieces();
}

void OutLane::rewrite(Sent& sent, TxFrame& frame, uint32_t body_room) {
  if (sent.carry != Carry::kOwn) [[unlikely]]
    return rewrite_chain(sent, frame, body_room);
  if (sent.piece && !rewrite_piece(sent, frame, body_room)) return;
  if (!sent.piece) rewrite_batch(sent, frame, body_room);
}

// False: that was all. True: it goes on as a batch, if sent.piece is false.
bool OutLane::rewrite_piece(Sent& sent, TxFrame& frame, uint32_t body_room) {
  const SentMessage& s = record(sent.position);
  if (sent.position < delivered_ || s.kind != Kind::kPieces || s.left == 0 ||
      blocks_.all(s.arena + sent.offset, sent.count)) {
    sent.count = 0;
    return false;
  }
  Message m;
  if (feed_.look(s.source, m) && m.len == s.len && !is_gap(m)) {
    sent.count = piece_size(sent.count, body_room);
    put_piece(m, sent, frame);
    return false;
  }
  give_up(sent.position);
  sent = {this, sent.position, 0, 1, false};
  return true;
}

// The record of a message that goes once more; its reason or its bytes.
Record OutLane::record_again(uint64_t position) {
  const SentMessage& s = record(position);
  if (s.kind == Kind::kGap) return gap_record(s.source, s.len, s.reason, 0);
  if (s.kind == Kind::kWhole) {
    Message m;
    const bool same = feed_.look(s.source, m) && m.len == s.len;
    if (same && fits_batch(m) && !is_gap(m)) return message_record(m);
    give_up(position);
  }
  return gap_record(s.source, 1, static_cast<uint64_t>(Drop::kMalformed), s.len);
}

void OutLane::rewrite_batch(Sent& sent, TxFrame& frame, uint32_t body_room) {
  while (sent.count != 0 && (sent.position < delivered_ || record(sent.position).left == 0)) {
    sent.position++;
    sent.count--;
  }
  if (sent.count == 0) return;
  const Record first = record_again(sent.position);
  BatchWriter out({alias_, epoch_, sent.position, record(sent.position).arena, first.source},
                  {frame.data + kHopHeaderSize, body_room});
  bool fits = out.append(first);
  uint32_t n = 1;
  while (n < sent.count && fits) {
    fits = out.append(record_again(sent.position + n));
    n += fits ? 1 : 0;
  }
  sent.count = n;
  frame.len = static_cast<uint32_t>(kHopHeaderSize + out.size());
}

void OutLane::acked(const Sent& sent) {
  if (sent.position + (sent.piece ? 1 : sent.count) <= delivered_) return;
  if (sent.piece) {
    SentMessage& s = record(sent.position);
    if (s.kind != Kind::kPieces || s.left == 0 || sent.carry == Carry::kPass) return;
    s.left -= static_cast<uint32_t>(blocks_.set(s.arena + sent.offset, sent.count));
    if (s.left == 0) blocks_.clear(s.arena, s.len);
    return;
  }
  if (sent.position == delivered_) {
    delivered_ += sent.count;
    return;
  }
  for (uint32_t i = 0; i < sent.count; i++)
    if (sent.position + i >= delivered_) record(sent.position + i).left = 0;
}

void OutLane::settle() {
  while (delivered_ != next_ && record(delivered_).left == 0)
    delivered_++;
  if (delivered_ == settled_) return;
  stats_.delivered.add(delivered_ - settled_);
  settled_ = delivered_;
  feed_.released(record(delivered_ - 1).source + 1);
}

// What readers have consumed has arrived, even where no ACK could say so any more.
void OutLane::arrived_before(uint64_t position) {
  for (; delivered_ < position; delivered_++) {
    SentMessage& s = record(delivered_);
    if (s.kind == Kind::kPieces && s.left != 0) blocks_.clear(s.arena, s.len);
    s.left = 0;
  }
}

bool OutLane::on_credit(const Credit& credit) {
  const bool sane = credit.position >= consumed_.position && credit.position <= next_ &&
                    credit.arena_position >= consumed_.arena && credit.arena_position <= fill_;
  if (!sane) return false;
  const bool more = credit.position > consumed_.position || credit.arena_position > consumed_.arena;
  consumed_ = {credit.position, credit.arena_position};
  arrived_before(credit.position);
  return more;
}

}  // namespace penstock
