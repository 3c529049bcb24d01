#include "dataplane/lane/writer.h"

#include <algorithm>

namespace penstock {
namespace {

bool reads(ReaderState s) {
  return s == ReaderState::kReliable || s == ReaderState::kLossy;
}

}  // namespace

void LaneWriter::format(std::byte* memory, const LaneGeometry& geometry, uint64_t lane_id,
                        uint64_t epoch) {
  auto* h = reinterpret_cast<LaneHeader*>(memory);
  h->magic = kLaneMagic;
  h->version = kLaneVersion;
  h->ring_log2 = geometry.ring_log2;
  h->arena_log2 = geometry.arena_log2;
  h->topics = geometry.topics;
  h->lane_id = lane_id;
  h->epoch = epoch;
}

LaneWriter::LaneWriter(std::byte* memory, const LaneGeometry& geometry, const NodePage* page)
    : header_(reinterpret_cast<LaneHeader*>(memory)),
      ring_(reinterpret_cast<Descriptor*>(memory + geometry.ring_at())),
      extras_(reinterpret_cast<Extra*>(memory + geometry.extras_at())),
      arena_(memory + geometry.arena_at()),
      page_(page),
      ring_mask_(geometry.ring_size() - 1),
      arena_mask_(geometry.arena_size() - 1),
      ring_size_(geometry.ring_size()),
      arena_size_(geometry.arena_size()),
      geometry_(geometry) {
  lane_id_ = header_->lane_id;
  head_ = header_->head.load();
  // The writer before may have died between stamping messages and counting them.
  for (uint64_t n = ring_size_; n != 0 && ring_[head_ & ring_mask_].stamp.load() == head_ + 1; n--)
    head_++;
  header_->head.store(head_);
  fill_ = reserved_ = header_->reserved.load();
  topics_ = static_cast<uint32_t>(header_->topic_count.load());
  tail_ = head_ > ring_size_ ? head_ - ring_size_ : 0;
  // Full until the first look at the readers.
  ring_limit_ = head_;
  arena_limit_ = room_end_ = fill_;
}

Result<uint32_t> LaneWriter::add_topic(std::string_view name) {
  if (name.empty() || name.size() > kMaxTopicName) return Errc::kBadTopic;
  if (topics_ >= geometry_.topics) return Errc::kFull;
  auto* table =
      reinterpret_cast<Topic*>(reinterpret_cast<std::byte*>(header_) + geometry_.topics_at());
  Topic& row = table[topics_];
  std::memcpy(row.name, name.data(), name.size());
  row.len.store(name.size());
  header_->topic_count.store(topics_ + 1);
  return topics_++;
}

Errc LaneWriter::put_topic(uint32_t id, std::string_view name) {
  if (name.empty() || name.size() > kMaxTopicName) return Errc::kBadTopic;
  if (id >= geometry_.topics) return Errc::kInvalid;
  auto* table =
      reinterpret_cast<Topic*>(reinterpret_cast<std::byte*>(header_) + geometry_.topics_at());
  Topic& row = table[id];
  if (row.len.load_relaxed() != 0)
    return std::string_view(row.name, static_cast<size_t>(row.len.load_relaxed())) == name
               ? Errc::kOk
               : Errc::kInvalid;
  std::memcpy(row.name, name.data(), name.size());
  row.len.store(name.size());
  if (id >= topics_) {
    topics_ = id + 1;
    header_->topic_count.store(topics_);
  }
  return Errc::kOk;
}

Errc LaneWriter::send_parts(Meta meta, std::span<const std::span<const std::byte>> parts) {
  if (parts.empty() || parts.size() > UINT16_MAX) return Errc::kInvalid;
  if (parts.size() == 1) return send(meta, parts[0]);
  for (const auto& p : parts)
    if (p.size() > UINT32_MAX) return Errc::kTooBig;
  const uint64_t len = parts_bytes(parts);
  std::byte* to = loan(len);
  if (to == nullptr) return fits(len) ? Errc::kWouldBlock : Errc::kTooBig;
  write_parts(parts, to);
  meta.parts = static_cast<uint16_t>(parts.size());
  commit(meta);
  return Errc::kOk;
}

void LaneWriter::refresh() {
  seen_generation_ = ~uint64_t{0};  // no page ever says so
  look_at_readers();
}

// Who reads. A reader that has just joined holds at the tail of the last look: nothing from there
// on was overwritten.
void LaneWriter::read_marks() {
  seen_generation_ = page_->generation.load();
  active_count_ = 0;
  const auto old = sleepers_;
  const uint32_t old_count = sleeper_count_;
  sleeper_count_ = 0;
  for (uint32_t i = 0; i < kMaxReaders; i++) {
    Reader& r = readers_[i];
    const uint64_t state = page_->marks[i].state.load();
    if (mark_generation(state) != mark_generation(r.state)) r.hold = tail_;
    r.state = state;
    if (!reads(mark_state(state))) continue;
    active_[active_count_++] = static_cast<uint8_t>(i);
    if (r.slot == nullptr || r.slot_generation != mark_generation(state)) continue;
    if (r.wake.event_fd < 0 && r.wake.bell == nullptr) continue;
    Sleeper& s = sleepers_[sleeper_count_++];
    s = {.armed = &r.slot->armed, .index = i, .generation = r.slot_generation};
    for (uint32_t k = 0; k < old_count; k++)
      if (old[k].index == i && old[k].generation == s.generation) s = old[k];
  }
}

uint64_t LaneWriter::consumed(Reader& r, const ReaderMark& mark) {
  const bool attached = r.slot != nullptr && r.slot_generation == mark_generation(r.state);
  if (!attached || r.slot->generation.load() != r.slot_generation) {
    const uint64_t start = mark.start.load();
    // It may lie before the tail of the last look: LaneDesk::join_from.
    if (start != kStartUnknown) r.hold = std::min(start, head_);
    return r.hold;
  }
  const uint64_t said = r.slot->position.load();  // pairs with the store in LaneReader::release
  if (said > head_) {
    lies_++;
  } else {
    r.hold = std::max(r.hold, said);
  }
  return r.hold;
}

// Why once a lap is often enough. The node joins a reader so: mark, generation + 1, full_fence(),
// start = header's head. A look stores the head, full_fence(), loads the generation, then works out
// a tail, at most that head. Of two such fences one is first. The node's: then the look sees the
// new generation and minds the reader. The look's: then the node sees the head that was stored
// before it, so start >= that tail, and all that the look allows to overwrite lies a lap before
// start.
LaneWriter::Tail LaneWriter::look_at_readers() {
  header_->head.store(head_);
  full_fence();  // pairs with the one in LaneDesk::join
  if (page_changed()) read_marks();
  uint64_t tail = head_;
  held_by_ = nullptr;
  for (uint32_t k = 0; k < active_count_; k++) {
    Reader& r = readers_[active_[k]];
    if (mark_state(r.state) != ReaderState::kReliable) continue;
    const uint64_t done = consumed(r, page_->marks[active_[k]]);
    if (done >= tail) continue;
    tail = done;
    const bool attached = r.slot != nullptr && r.slot_generation == mark_generation(r.state) &&
                          r.slot->generation.load_relaxed() == r.slot_generation;
    held_by_ = attached ? r.slot : nullptr;
  }
  tail_ = tail;
  const uint64_t arena = tail < head_ ? ring_[tail & ring_mask_].arena_pos.get() : fill_;
  ring_limit_ = tail + ring_size_;
  arena_limit_ = arena + arena_size_;
  return {tail, arena};
}

bool LaneWriter::has_lossy() const {
  for (uint32_t k = 0; k < active_count_; k++)
    if (mark_state(readers_[active_[k]].state) == ReaderState::kLossy) return true;
  return false;
}

uint64_t LaneWriter::consumed() const {
  uint64_t least = head_;
  for (uint32_t k = 0; k < active_count_; k++) {
    const Reader& r = readers_[active_[k]];
    if (mark_state(r.state) != ReaderState::kReliable) continue;
    const bool attached = r.slot != nullptr && r.slot_generation == mark_generation(r.state) &&
                          r.slot->generation.load() == r.slot_generation;
    const uint64_t said = attached ? r.slot->position.load_relaxed() : r.hold;
    least = std::min(least, said > head_ ? r.hold : std::max(said, r.hold));
  }
  return least;
}

// While the reader that holds us back stands still nobody else matters. Not looking at the others
// leaves their lines to them: a spinning writer would take the position of each of them away
// between two of its stores (rig/fan 1 to 16: 64 KiB 0.99 -> 1.31 M/s, 1 KiB 50 -> 56 M/s).
bool LaneWriter::still_held() const {
  return held_by_ != nullptr && held_by_->position.load_relaxed() == tail_ && !page_changed();
}

// Says so, for the node to see how long the slowest reader keeps us.
std::byte* LaneWriter::held() {
  if (held_ != head_ + 1) {
    held_ = head_ + 1;
    header_->held.store(held_);
  }
  return nullptr;
}

std::byte* LaneWriter::make_room(uint64_t len) {
  if (len > arena_size_) return nullptr;
  const uint64_t start = arena_place(fill_, len, arena_size_);
  const uint64_t next = arena_next(start, len);
  if (head_ >= ring_limit_ || next > arena_limit_) {
    if (still_held()) return held();
    look_at_readers();
    if (head_ >= ring_limit_) return held();
    // An empty lane takes whatever its arena can hold, however much the wrap wastes.
    if (tail_ == head_) arena_limit_ = start + arena_size_;
    if (next > arena_limit_) return held();
  }
  if (next > reserved_) reserve(start, len);
  fill_ = start;
  const uint64_t lap_ends = (start | arena_mask_) + 1;
  room_end_ = std::max(start, std::min({arena_limit_, reserved_, lap_ends}));
  loan_len_ = len;
  return at_place(start);
}

// Tells readers that don't hold us back what will be overwritten, before it is. In steps of a
// sixteenth of the arena, because it takes a store that everything later waits for; never so far
// that the message itself would count as overwritten.
void LaneWriter::reserve(uint64_t start, uint64_t len) {
  const uint64_t next = arena_next(start, len);
  reserved_ = std::max(next, std::min(next + arena_size_ / 16, start + arena_size_));
  header_->reserved.store_first(reserved_);
}

void LaneWriter::attach_reader(uint32_t index, uint32_t generation, const ReaderSlot* slot,
                               const Wake& wake) {
  if (index >= kMaxReaders) return;
  Reader& r = readers_[index];
  r.slot = slot;
  r.slot_generation = generation;
  r.wake = wake;
  refresh();
  // It may sleep on what was published before it could be woken.
  for (Sleeper& s : std::span(sleepers_).first(sleeper_count_))
    if (s.index == index) wake_one(s);
}

void LaneWriter::detach_reader(uint32_t index) {
  if (index >= kMaxReaders) return;
  readers_[index].slot = nullptr;
  readers_[index].wake = {};
  refresh();
}

void LaneWriter::wake_all() {
  for (Sleeper& s : std::span(sleepers_).first(sleeper_count_))
    wake_one(s);
}

// Once per value of `armed`: a reader that armed gets one event, however much is published before
// it wakes.
void LaneWriter::wake_one(Sleeper& s) {
  const uint64_t armed = s.armed->load_relaxed();
  if (armed == s.rung) return;
  s.rung = armed;
  if (armed % 2 == 0) return;
  const Wake& wake = readers_[s.index].wake;
  if (wake.bell == nullptr) {
    ring_event(wake.event_fd);
    return;
  }
  wake.bell->set_bits(wake.bell_bit);  // also keeps what follows behind it
  const uint64_t asleep = wake.sleeper->load_relaxed();
  if (asleep % 2 == 1 && asleep != s.sleeper_rung) {
    s.sleeper_rung = asleep;
    if (wake.event_fd >= 0) ring_event(wake.event_fd);
  }
}

}  // namespace penstock
