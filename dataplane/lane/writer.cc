#include "dataplane/lane/writer.h"

#include <algorithm>

#include "dataplane/base/event.h"

namespace penstock {
namespace {

ReaderState state_of(uint64_t packed) {
  return static_cast<ReaderState>(packed & 0xff);
}

uint32_t generation_of(uint64_t packed) {
  return static_cast<uint32_t>(packed >> 32);
}

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
      arena_(memory + geometry.arena_at()),
      page_(page),
      ring_size_(geometry.ring_size()),
      arena_size_(geometry.arena_size()),
      geometry_(geometry) {
  lane_id_ = header_->lane_id;
  head_ = header_->head.load();
  fill_ = header_->reserved.load();
  topics_ = static_cast<uint32_t>(header_->topic_count.load());
  // With no page there is nobody to wait for until attach_reader says so.
  ring_limit_ = head_;
  arena_limit_ = fill_;
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

// Readers that joined are held at their start, or, while the node has not yet said where they
// start, one message before the head: the node reads the head after a remote fence, so at most
// the message that was being published can lie before what it reads.
void LaneWriter::refresh() {
  if (page_ == nullptr) return;
  seen_generation_ = page_->generation.load();
  active_count_ = 0;
  wakeable_count_ = 0;
  bool lossy = false;
  for (uint32_t i = 0; i < kMaxReaders; i++) {
    Reader& r = readers_[i];
    const uint64_t state = page_->marks[i].state.load();
    if (state != r.state) {
      const bool same_join = generation_of(state) == generation_of(r.state);
      r.state = state;
      if (reads(state_of(state)) && !same_join) r.hold = head_ > 0 ? head_ - 1 : 0;
    }
    if (!reads(state_of(r.state))) continue;
    active_[active_count_++] = static_cast<uint8_t>(i);
    lossy |= state_of(r.state) == ReaderState::kLossy;
    const bool attached = r.slot != nullptr && r.slot_generation == generation_of(r.state);
    if (attached && (r.wake.event_fd >= 0 || r.wake.bell != nullptr))
      wakeable_[wakeable_count_++] = static_cast<uint8_t>(i);
  }
  if (lossy && !lossy_readers_) header_->reserved.store_first(fill_);
  lossy_readers_ = lossy;
  look_at_readers();
}

uint64_t LaneWriter::consumed(Reader& r, const ReaderMark& mark) {
  if (r.slot == nullptr || r.slot_generation != generation_of(r.state) ||
      r.slot->generation.load() != r.slot_generation) {
    const uint64_t start = mark.start.load();
    if (start != ~uint64_t{0}) r.hold = std::min(start, head_);
    return r.hold;
  }
  const uint64_t said = r.slot->position.load();  // pairs with the store in LaneReader::release
  if (said > head_ || said < r.hold) {
    lies_ += said > head_ ? 1 : 0;
    return r.hold;
  }
  r.hold = said;
  return said;
}

LaneWriter::Tail LaneWriter::look_at_readers() {
  uint64_t tail = head_;
  for (uint32_t k = 0; k < active_count_; k++) {
    Reader& r = readers_[active_[k]];
    if (state_of(r.state) != ReaderState::kReliable) continue;
    tail = std::min(tail, consumed(r, page_->marks[active_[k]]));
  }
  const uint64_t arena = tail < head_ ? ring_[tail & (ring_size_ - 1)].arena_pos : fill_;
  ring_limit_ = tail + ring_size_;
  arena_limit_ = arena + arena_size_;
  return {tail, arena};
}

bool LaneWriter::make_room(uint64_t next) {
  look_at_readers();
  return head_ < ring_limit_ && next <= arena_limit_;
}

void LaneWriter::attach_reader(uint32_t index, uint32_t generation, const ReaderSlot* slot,
                               const Wake& wake) {
  Reader& r = readers_[index];
  r.slot = slot;
  r.slot_generation = generation;
  r.wake = wake;
  r.rung = 0;
  r.sleeper_rung = 0;
  refresh();
  wake_sleepers();  // what was published before this reader could be woken
}

void LaneWriter::detach_reader(uint32_t index) {
  readers_[index].slot = nullptr;
  readers_[index].wake = {};
  refresh();
}

// Once per value of `armed`: a reader that armed gets one event, however much is published before
// it wakes.
void LaneWriter::ring(Reader& r, uint64_t armed) {
  if (armed % 2 == 0) {
    r.rung = armed;
    return;
  }
  r.rung = armed;
  if (r.wake.bell == nullptr) {
    ring_event(r.wake.event_fd);
    return;
  }
  r.wake.bell->set_bits(r.wake.bell_bit);
  const uint64_t asleep = r.wake.sleeper->load_relaxed();
  if (asleep % 2 == 1 && asleep != r.sleeper_rung) {
    r.sleeper_rung = asleep;
    ring_event(r.wake.event_fd);
  }
}

}  // namespace penstock
