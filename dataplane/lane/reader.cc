#include "dataplane/lane/reader.h"

#include <algorithm>

namespace penstock {
namespace {

// Copies bytes that the writer may be overwriting; the caller finds out afterwards whether it lost
// that race. One instruction, so that neither the compiler nor a sanitizer has a say in it.
void racy_copy(std::byte* to, const std::byte* from, uint64_t n) {
  __asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

}  // namespace

LaneReader::LaneReader(const Join& join)
    : ring_(reinterpret_cast<const Descriptor*>(join.memory + join.geometry.ring_at())),
      extras_(reinterpret_cast<const Extra*>(join.memory + join.geometry.extras_at())),
      arena_(join.memory + join.geometry.arena_at()),
      ring_mask_(join.geometry.ring_size() - 1),
      arena_mask_(join.geometry.arena_size() - 1),
      next_(join.start),
      topics_(join.geometry.topics),
      slot_(join.slot),
      page_(join.page),
      mark_(&join.page->marks[join.index]),
      header_(reinterpret_cast<const LaneHeader*>(join.memory)),
      join_(join) {
  lane_id_ = header_->lane_id;
  joined_state_ =
      pack_mark(join.lossy ? ReaderState::kLossy : ReaderState::kReliable, join.generation);
  slot_->position.store(join.start);
  slot_->overrun.store(0);
  slot_->malformed.store(0);
  slot_->too_big.store(0);
  slot_->shown.store(0);
  slot_->skipped.store(0);
  slot_->shed.store(0);
  disarm();
  slot_->generation.store(join.generation);
}

Drop LaneReader::eviction() const {
  const uint64_t state = mark_->state.load();
  const bool ours = mark_generation(state) == join_.generation;
  for (const Drop why : {Drop::kTooSlow, Drop::kNotZeroCopy})
    if (ours && mark_why(state) == static_cast<uint8_t>(why)) return why;
  return Drop::kEvicted;
}

bool LaneReader::copy(const Message& m, std::byte* to) {
  racy_copy(to, m.data, m.len);
  keep_order();
  // The writer raises `reserved` before it writes any byte of what it reserved.
  if (header_->reserved.load() - m.arena_pos <= arena_mask_ + 1) return true;
  slot_->overrun.store(slot_->overrun.load_relaxed() + 1);
  return false;
}

bool LaneReader::take_any(const Descriptor& d, uint64_t position, Message& m) const {
  const uint16_t flags = shape_flags(d.shape.get());
  const bool plain = take(d, position, m);
  m.flags = flags & static_cast<uint16_t>(~kFlagExtra);
  if ((flags & kFlagExtra) != 0) {
    const Extra& e = extras_[position & ring_mask_];
    m.key = e.key.get();
    m.source = e.source.get();
    m.origin = e.origin.get();
    m.parts = static_cast<uint16_t>(e.parts.get());
  }
  keep_order();
  const bool message = (m.flags & static_cast<uint16_t>(~kFlagCopied)) == 0 && m.parts != 0;
  return plain && message && d.stamp.load_relaxed() == position + 1;
}

bool LaneReader::look(uint64_t position, Message& m) const {
  const Descriptor& d = ring_[position & ring_mask_];
  return d.stamp.load() == position + 1 && take_any(d, position, m);
}

uint64_t LaneReader::newest() const {
  const uint64_t head = header_->head.load();
  if (head <= next_ || head > kMaxPosition) return next_;
  const uint64_t stamp = ring_[(head - 1) & ring_mask_].stamp.load();
  return stamp >= head && stamp <= kMaxPosition ? head : next_;
}

uint64_t LaneReader::lag() const {
  const uint64_t head = header_->head.load();
  return head > next_ ? head - next_ : 0;
}

bool LaneReader::finished() const {
  if (page_->closed.load() == 0) return false;
  const uint64_t stamp = ring_[next_ & ring_mask_].stamp.load();
  return stamp != next_ + 1 && !lapped(stamp);
}

std::string_view LaneReader::topic_name(uint32_t id, std::span<char> out) const {
  if (id >= topics_ || out.size() < kMaxTopicName) return {};
  const auto* table = reinterpret_cast<const Topic*>(reinterpret_cast<const std::byte*>(header_) +
                                                     join_.geometry.topics_at());
  const uint64_t len = table[id].len.load();
  if (len == 0 || len > kMaxTopicName) return {};
  std::memcpy(out.data(), table[id].name, static_cast<size_t>(len));
  return {out.data(), static_cast<size_t>(len)};
}

LaneReader::Next LaneReader::gap(Message& m, uint64_t to, uint64_t reason) {
  m = {};
  m.position = next_;
  m.key = to - next_;
  m.parts = static_cast<uint16_t>(reason);
  m.flags = kFlagGap;
  next_ = to;
  const auto why = static_cast<Drop>(reason);
  const bool shed = why == Drop::kConflated || why == Drop::kOverLimit;
  SharedWord& count = why == Drop::kMalformed ? slot_->malformed
                      : shed                  ? slot_->shed
                                              : slot_->overrun;
  count.store(count.load_relaxed() + m.key);
  return Next::kGap;
}

// Nothing at this position, or something of a later lap. Unless it has come just now, between the
// caller's look at the stamp and ours at the head: then it is there the next time.
LaneReader::Next LaneReader::none(Message& m, uint64_t stamp) {
  if (!lapped(stamp) || ring_[next_ & ring_mask_].stamp.load() == next_ + 1) return Next::kEmpty;
  return overrun(m);
}

// A cleared stamp is a message being written: this one, or one a lap ahead of it, in which a writer
// may even have died. On the first lap all stamps are clear, so there only a closed lane is worth
// the look at the header.
bool LaneReader::lapped(uint64_t stamp) const {
  if (stamp > next_ + 1) return stamp <= kMaxPosition;
  if (stamp != 0 || (next_ <= ring_mask_ && page_->closed.load() == 0)) return false;
  const uint64_t head = header_->head.load();
  return head > next_ && head - next_ > ring_mask_ && head <= kMaxPosition;
}

LaneReader::Next LaneReader::special(Message& m) {
  if (!take_any(ring_[next_ & ring_mask_], next_, m)) return odd(m);
  next_++;
  return Next::kMessage;
}

LaneReader::Next LaneReader::odd(Message& m) {
  if (ring_[next_ & ring_mask_].stamp.load() != next_ + 1) return overrun(m);
  if (m.flags == kFlagGap && m.parts < kDrops) {
    m.data = nullptr;
    m.len = 0;
    m.topic = 0;
    next_++;
    // However many messages it stands for: in this lane it is one.
    SharedWord& count = m.parts == static_cast<uint16_t>(Drop::kTooBig)    ? slot_->too_big
                        : m.parts == static_cast<uint16_t>(Drop::kOverrun) ? slot_->overrun
                                                                           : slot_->malformed;
    count.store(count.load_relaxed() + 1);
    return Next::kGap;
  }
  return gap(m, next_ + 1, static_cast<uint64_t>(Drop::kMalformed));
}

// The writer is more than a lap ahead. A lossy reader goes on in the younger half of the ring; for
// a reliable one it means that it was evicted (or that the writer does not keep the rules).
LaneReader::Next LaneReader::overrun(Message& m) {
  const uint64_t stamp = ring_[next_ & ring_mask_].stamp.load();
  uint64_t newest = 0;
  for (const uint64_t said : {header_->head.load(), stamp})
    if (said <= kMaxPosition) newest = std::max(newest, said);
  const uint64_t keep = (ring_mask_ + 1) / 2;
  const uint64_t to = std::max(newest > keep ? newest - keep : 0, next_ + 1);
  return gap(m, to, static_cast<uint64_t>(evicted() ? eviction() : Drop::kOverrun));
}

}  // namespace penstock
