#include "dataplane/link/in_lane.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/copy.h"

namespace penstock {
namespace {

constexpr uint64_t kGoodPart = 8;  // of the ring or the arena: worth an ACK of its own

bool aligned(uint64_t arena_pos) {
  return arena_pos % kArenaAlign == 0;
}

Meta meta_of(const Record& r) {
  return {r.topic, r.parts, static_cast<uint16_t>(r.gap ? kFlagGap : 0), r.gap ? 0 : r.time, r.key};
}

}  // namespace

InLane::InLane(uint32_t alias, uint32_t epoch, LaneWriter& mirror, uint64_t origin)
    : alias_(alias),
      epoch_(epoch),
      head_(mirror.head()),
      fill_(mirror.fill()),
      granted_{head_, fill_},
      seen_{head_, fill_},
      ring_mask_(mirror.geometry().ring_size() - 1),
      arena_size_(mirror.geometry().arena_size()),
      topics_(mirror.geometry().topics),
      mirror_(mirror),
      origin_(origin),
      ring_(mirror.geometry().ring_size()),
      digests_(mirror.geometry().ring_size()),
      blocks_(arena_size_) {}

// Whether a message may lie there: in the room that was granted, contiguous, and for the next one
// in order exactly where the arithmetic puts it.
Drop InLane::check_place(uint64_t position, uint64_t arena, uint64_t len) const {
  if (position - granted_.position > ring_mask_) return Drop::kNoCredit;
  if (len > arena_size_ || !aligned(arena) || arena_place(arena, len, arena_size_) != arena)
    return Drop::kBadFrame;
  const bool next = position == head_;
  const uint64_t expected = arena_place(fill_, len, arena_size_);
  if (next && arena != expected) return Drop::kBadFrame;
  const uint64_t end = arena_next(arena, len);
  if (arena < fill_ || end < arena) return Drop::kNoCredit;
  // An empty mirror takes whatever its arena can hold, however much the wrap wastes.
  if (end - granted_.arena > arena_size_ && !(next && position == granted_.position))
    return Drop::kNoCredit;
  return Drop::kNone;
}

Drop InLane::on_batch(const BatchHeader& h, std::span<const std::byte> body) {
  BatchReader in(body);
  Record r;
  const uint64_t old_head = head_;
  uint64_t position = h.position;
  uint64_t at = h.arena_position;
  bool fresh = false;
  Drop why = Drop::kNone;
  // The usual case first: all in order, nothing waits.
  if (position == head_ && waiting_ == 0) {
    position += take_in_order(in, r, at);
    fresh = position != h.position;
  } else if (!in.next(r)) {
    why = Drop::kBadFrame;
  }
  // `r` is the next record, if there is one.
  for (bool more = why == Drop::kNone && r.bytes != nullptr; more; more = in.next(r)) {
    const uint64_t span = r.gap ? r.time : r.len;  // a gap's time: the arena it stands for
    const uint64_t arena = arena_place(at, span, arena_size_);
    const bool possible = span <= arena_size_ && (position != h.position || arena == at);
    const Drop one = possible ? place(position, arena, span, r) : Drop::kBadFrame;
    if (one == Drop::kDuplicate) {
      stats_.duplicates.add(1);
    } else if (one != Drop::kNone) {
      why = one;
      break;
    }
    fresh |= one == Drop::kNone;
    at = arena_next(arena, span);
    position++;
  }
  if (head_ != old_head) {
    stats_.delivered.add(head_ - old_head);
    mirror_.flush();
  }
  if (why != Drop::kNone) return why;
  if (in.malformed()) return Drop::kBadFrame;
  return fresh ? Drop::kNone : Drop::kDuplicate;
}

// Publishes messages from the front as long as nothing is unusual about them, and returns how many.
// Stops in front of a record that is (it is in `r` then; r.bytes is null at the end). Counts in
// local variables: a store of a byte may change any member, as far as the compiler knows.
uint64_t InLane::take_in_order(BatchReader& in, Record& r, uint64_t& at) {
  const uint64_t size = arena_size_;
  const uint64_t ring_end = granted_.position + ring_mask_ + 1;
  const uint64_t arena_end = granted_.arena + size;
  uint64_t head = head_;
  uint64_t fill = fill_;
  uint64_t bytes = 0;
  while (in.next(r)) {
    const uint64_t arena = arena_place(fill, r.len, size);
    const uint64_t end = arena_next(arena, r.len);
    const bool usual = !r.gap && head != ring_end && end <= arena_end && r.topic < topics_ &&
                       (head != head_ || arena == at);
    if (!usual) break;
    copy_short(mirror_.at(arena, r.len), r.bytes, r.len);
    mirror_.publish_quietly({r.topic, r.parts, 0, r.time, r.key}, arena, r.len, r.source, origin_);
    bytes += r.len;
    fill = end;
    head++;
    r.bytes = nullptr;
  }
  const uint64_t n = head - head_;
  if (n != 0) at = fill;
  head_ = head;
  fill_ = fill;
  stats_.bytes.add(bytes);
  return n;
}

// One message of a batch, `span` bytes of the arena.
Drop InLane::place(uint64_t position, uint64_t arena, uint64_t span, const Record& r) {
  // Positions behind the head, however far: the difference is negative.
  if (static_cast<int64_t>(position - head_) < 0) return Drop::kDuplicate;
  if (const Drop d = check_place(position, arena, span); d != Drop::kNone) return d;
  if (r.topic >= topics_ || (r.gap && r.parts >= kDrops)) return Drop::kBadFrame;
  if (waiting_ != 0 || position != head_) return place_waiting(position, arena, span, r);
  if (!r.gap && r.len != 0) copy_short(mirror_.at(arena, r.len), r.bytes, r.len);
  publish(meta_of(r), arena, span, r.source);
  return Drop::kNone;
}

// The same when it, or others, must wait.
Drop InLane::place_waiting(uint64_t position, uint64_t arena, uint64_t span, const Record& r) {
  Waiting& w = ring_[position & ring_mask_];
  if (w.state == State::kWhole) return Drop::kDuplicate;
  if (w.state == State::kPieces) {
    // Its sender lost the bytes half-way: the gap overrules what has come.
    if (!r.gap || w.arena != arena || w.len != span) return Drop::kBadFrame;
    blocks_.clear(w.arena, w.len);
  } else {
    waiting_++;
  }
  reach_ = std::max(reach_, arena_next(arena, span));
  if (!r.gap && r.len != 0) copy_short(mirror_.at(arena, r.len), r.bytes, r.len);
  const Meta m = meta_of(r);
  w = {arena, span, m.time_ns, m.key, r.source, m.topic, 0, m.parts, m.flags, State::kWhole, true};
  if (position != head_) stats_.out_of_order.add(1);
  publish_waiting();
  return Drop::kNone;
}

// The message that `h` is a piece of, in `w`: begun, if this is the first word of it.
Drop InLane::begin_pieces(const FragmentHeader& h, Waiting*& waiting) {
  if (static_cast<int64_t>(h.position - head_) < 0) {
    stats_.duplicates.add(1);
    return Drop::kDuplicate;
  }
  if (const Drop d = check_place(h.position, h.arena_position, h.message_len); d != Drop::kNone)
    return d;
  if (h.topic >= topics_) return Drop::kBadFrame;
  Waiting& w = ring_[h.position & ring_mask_];
  if (w.state == State::kEmpty) {
    w = {h.arena_position,
         h.message_len,
         h.time,
         h.key,
         h.source,
         h.topic,
         static_cast<uint32_t>(BlockMap::blocks(h.message_len)),
         h.parts,
         0,
         State::kPieces,
         false};
    digest(w) = {};
    waiting_++;
    reach_ = std::max(reach_, h.arena_position + h.message_len);
  }
  if (w.arena != h.arena_position || w.len != h.message_len) return Drop::kBadFrame;
  waiting = &w;
  return Drop::kNone;
}

Drop InLane::on_piece(const Fragment& f, uint32_t part) {
  const FragmentHeader& h = f.header;
  Waiting* w = nullptr;
  if (const Drop d = begin_pieces(h, w); d != Drop::kNone) return d;
  if (h.digest) digest(*w).say(*h.digest);
  return take_piece(*w, h.offset, f.piece, part);
}

// A piece that lies in its message.
Drop InLane::take_piece(Waiting& w, uint64_t offset, std::span<const std::byte> piece,
                        uint32_t part) {
  if (w.state == State::kWhole || !store_piece(w, offset, piece, part)) {
    stats_.duplicates.add(1);
    return Drop::kDuplicate;
  }
  return finish_pieces(w);
}

// Some of it has come. If that was all, it is whole.
Drop InLane::finish_pieces(Waiting& w) {
  if (w.left != 0) return Drop::kNone;
  blocks_.clear(w.arena, w.len);
  w.state = State::kWhole;
  if (wrong(w)) overrule(w);
  const uint64_t old_head = head_;
  publish_waiting();
  if (head_ == old_head) {
    stats_.out_of_order.add(1);
    return Drop::kNone;
  }
  stats_.delivered.add(head_ - old_head);
  mirror_.flush();
  return Drop::kNone;
}

// False: all of it had come. What came is not stored once more, so that the digest is over what
// lies in the mirror.
bool InLane::store_piece(Waiting& w, uint64_t offset, std::span<const std::byte> piece,
                         uint32_t part) {
  const uint64_t arena = w.arena + offset;
  if (!blocks_.claim(arena, piece.size())) [[unlikely]] {
    if (blocks_.all(arena, piece.size())) return false;
    store_blocks(w, offset, piece);
    return true;
  }
  std::memcpy(mirror_.at(arena, piece.size()), piece.data(), piece.size());
  w.left -= static_cast<uint32_t>(BlockMap::blocks(piece.size()));
  w.framed = true;
  if (w.len > kDigestFrom) digest(w).add(offset, piece.size(), part, w.len);
  return true;
}

// Of a piece the blocks that had not come.
void InLane::store_blocks(Waiting& w, uint64_t offset, std::span<const std::byte> piece) {
  for (; !piece.empty(); offset += kArenaAlign) {
    const auto block = piece.first(std::min(piece.size(), kArenaAlign));
    piece = piece.subspan(block.size());
    store_piece(w, offset, block, crc_part(block));
  }
}

// The message came whole, but is not what its sender sent first.
bool InLane::wrong(const Waiting& w) {
  if (w.len <= kDigestFrom) return false;
  const Digest& d = digest(w);
  return d.said() && *d.said() != d.whole(w.len);
}

// Nothing of the message is shown: a gap goes in its place.
void InLane::overrule(Waiting& w) {
  stats_.malformed.add(1);
  w.topic = 0;
  w.parts = static_cast<uint16_t>(Drop::kMalformed);
  w.flags = kFlagGap;
  w.time = 0;
  w.key = 1;
}

void InLane::publish(const Meta& meta, uint64_t arena, uint64_t span, uint64_t source) {
  const bool gap = (meta.flags & kFlagGap) != 0;
  mirror_.publish_quietly(meta, arena, gap ? 0 : span, source, origin_);
  if (gap) {
    stats_.gaps.add(1);
  } else {
    stats_.bytes.add(span);
  }
  fill_ = arena_next(arena, span);
  head_++;
}

void InLane::publish_waiting() {
  for (;;) {
    Waiting& w = ring_[head_ & ring_mask_];
    if (w.state != State::kWhole) return;
    w.state = State::kEmpty;
    waiting_--;
    // What came early could only be checked against the credit. Where it now proves to lie wrong,
    // nothing of it is shown.
    if (w.arena != arena_place(fill_, w.len, arena_size_)) {
      overrule(w);
      w.arena = std::max(w.arena, arena_place(fill_, w.len, arena_size_));
    }
    if ((w.flags & kFlagGap) == 0) count_way(w);
    publish({w.topic, w.parts, w.flags, w.time, w.key}, w.arena, w.len, w.source);
  }
}

// Which way it came. Its readers are told when it is large and was copied, be it in part.
void InLane::count_way(Waiting& w) {
  if (!w.framed) {
    stats_.put.add(1);
    stats_.put_bytes.add(w.len);
  } else if (w.len >= large_from_) {
    w.flags |= kFlagCopied;
    stats_.copied.add(1);
    stats_.copied_bytes.add(w.len);
    stats_.copied_topic.store(w.topic);
  }
}

void InLane::look() {
  LaneWriter::Tail t = mirror_.look_at_readers();
  if (t.position == head_) t.arena = fill_;
  // A reader that joined holds no more than was granted before it came.
  seen_.position = std::max(seen_.position, t.position);
  seen_.arena = std::max(seen_.arena, t.arena);
}

Credit InLane::grant() {
  look();
  granted_ = grantable();
  if (put_) mirror_.may_be_written(granted_.arena + arena_size_);
  return {alias_, epoch_, granted_.position, granted_.arena};
}

bool InLane::credit_grew(bool idle) {
  look();
  const LaneWriter::Tail next = grantable();
  const uint64_t positions = next.position - granted_.position;
  const uint64_t bytes = next.arena - granted_.arena;
  if (idle && seen_.position == head_) return positions != 0;
  return positions > ring_mask_ / kGoodPart || bytes >= arena_size_ / kGoodPart;
}

}  // namespace penstock
