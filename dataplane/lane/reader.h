// LaneReader: one reader of one lane, owned by one thread. Everything it finds in the lane was
// written by somebody else: it copies a descriptor, checks it, then uses the copy.
//
//   next(m), next(m), ...  ──▶  use the bytes in place  ──▶  release(): the writer may reuse them
//
// A reliable reader holds the writer back until it releases. A lossy reader does not: it must copy
// the bytes out (copy()), and learns of what it missed as a gap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/base/drop.h"
#include "dataplane/lane/layout.h"
#include "dataplane/lane/message.h"

namespace penstock {

class LaneReader {
 public:
  enum class Next : uint8_t {
    kMessage,  // `m` is the next message
    kEmpty,    // nothing there now
    kGap,      // m.key messages from m.position on will not come; m.parts is the reason (a Drop)
  };

  // How the node joined this reader to the lane.
  struct Join {
    const std::byte* memory = nullptr;  // the lane, mapped read-only; stays mapped
    LaneGeometry geometry;
    const NodePage* page = nullptr;
    uint32_t index = 0;  // mark in the node page
    uint32_t generation = 0;
    ReaderSlot* slot = nullptr;  // in this process's position table
    uint64_t start = 0;
    bool lossy = false;
  };

  LaneReader() = default;
  // Takes the slot over: position = start, and from now on the slot is valid for the writer.
  explicit LaneReader(const Join& join);

  // The next message, without letting go of the ones before.
  Next next(Message& m) {
    const uint64_t at = next_;
    const Descriptor& d = ring_[at & ring_mask_];
    const uint64_t stamp = d.stamp.load();  // pairs with the store in LaneWriter
    if (stamp != at + 1) return none(m, stamp);
    if (shape_flags(d.shape.get()) != 0) [[unlikely]]
      return special(m);
    if (!take(d, at, m)) [[unlikely]]
      return odd(m);
    next_ = at + 1;
    return Next::kMessage;
  }

  // A message of one part, without a key, and first published here: nearly every one.
  struct Plain {
    const std::byte* data;
    uint64_t len;
    uint64_t position;
    uint64_t arena_pos;
    uint64_t time_ns;
  };

  // `more`: there is a backlog, so what messages further on need is asked for; a line that the
  // writer still writes would only be taken away from it.
  //
  // As next(), if that is a plain message of a topic that next() has shown before. False: next()
  // tells what there is. kNoTopic is never one.
  static constexpr uint64_t kNoTopic = ~uint64_t{0};
  bool next_plain(uint64_t topic, Plain& p, bool more = false) {
    const uint64_t at = next_;
    const Descriptor& d = ring_[at & ring_mask_];
    const uint64_t stamp = d.stamp.load();  // pairs with the store in LaneWriter
    if (stamp != at + 1) return false;
    const uint64_t arena_pos = d.arena_pos.get();
    const uint64_t shape = d.shape.get();
    p.time_ns = d.time_ns.get();
    keep_order();
    const uint64_t offset = arena_pos & arena_mask_;
    if (!shape_is_plain(shape, topic) || d.stamp.load_relaxed() != stamp ||
        shape_len(shape) + offset > arena_mask_ + 1) [[unlikely]]
      return false;
    p.data = arena_ + offset;
    if (more) {
      __builtin_prefetch(&d + kAhead);
      __builtin_prefetch(p.data + kAhead * kLine);
    }
    p.len = shape_len(shape);
    p.position = at;
    p.arena_pos = arena_pos;
    next_ = stamp;
    return true;
  }

  // Asks for the first line that begins at `arena_pos` or behind it.
  void prefetch_at(uint64_t arena_pos) const {
    __builtin_prefetch(arena_ + ((arena_pos + kLine - 1) & arena_mask_));
  }

  // True when certainly nothing has come; false decides nothing. One load.
  bool vacant() const {
    const uint64_t stamp = ring_[next_ & ring_mask_].stamp.load_relaxed();
    if (stamp == 0) return next_ <= ring_mask_;  // or it is being written
    return stamp <= next_;                       // that of a lap before
  }

  // True when next() would not say kEmpty. One load.
  bool ready() const {
    const uint64_t stamp = ring_[next_ & ring_mask_].stamp.load();
    return stamp > next_ && stamp <= kMaxPosition;
  }

  // One past the newest message, as far as its writer's word is worth; position(): nothing waits.
  uint64_t newest() const;

  // Lossy readers: goes on at `to`, and says so as a gap in `m`: the messages before it were there,
  // and are passed over because of `why`.
  Next skip_to(uint64_t to, Drop why, Message& m) { return gap(m, to, static_cast<uint64_t>(why)); }

  // Lossy readers: copies the message that next() gave into `to` (m.len bytes of room) and returns
  // whether it was still whole; if not, it was overrun meanwhile and counts as a gap.
  bool copy(const Message& m, std::byte* to);

  // A message that next() gave before and that was not released, or is not yet reached by it:
  // looked at again, checked again. False when it is not there or makes no sense.
  bool look(uint64_t position, Message& m) const;

  // Lets go of everything that next() returned.
  void release() { release_to(next_); }

  // Lossy readers and others: what next() gave as a message turned out to be none.
  void count_malformed() { slot_->malformed.store(slot_->malformed.load_relaxed() + 1); }
  // What became of the messages that were let go of, as the reader's owner counted it; for the
  // books, before release().
  void account(uint64_t shown, uint64_t skipped) {
    slot_->shown.store(shown);
    slot_->skipped.store(skipped);
  }

  // Lets go of everything before `position`.
  void release_to(uint64_t position) { slot_->position.store(position); }

  uint64_t position() const { return next_; }
  uint64_t released() const { return slot_->position.load_relaxed(); }

  // Messages that are published and not yet returned, as far as the writer's word is worth.
  uint64_t lag() const;

  // Going to sleep: arm(), remote_fence(), look once more, then sleep; disarm() on waking.
  void arm() { slot_->armed.store(slot_->armed.load_relaxed() | 1); }
  void disarm() {
    const uint64_t a = slot_->armed.load_relaxed();
    if (a % 2 == 1) slot_->armed.store(a + 1);
  }
  bool armed() const { return slot_->armed.load_relaxed() % 2 == 1; }

  // True once the lane is closed and next() will return nothing more.
  bool finished() const;
  // Why no more will come, or kOpen.
  CloseReason closed() const { return static_cast<CloseReason>(page_->closed.load()); }
  // True once the node has taken its slot away.
  bool evicted() const {
    const uint64_t state = mark_->state.load();
    return mark_generation(state) != join_.generation || mark_state(state) == ReaderState::kEvicted;
  }
  // Why it has: kTooSlow, kNotZeroCopy, or kEvicted.
  Drop eviction() const;
  // False: perhaps.
  bool surely_not_evicted() const { return mark_->state.load() == joined_state_; }

  // The name of a topic id, copied to `out` (kMaxTopicName bytes); empty when there is none.
  std::string_view topic_name(uint32_t id, std::span<char> out) const;

  const Join& join() const { return join_; }

 private:
  // Copies a descriptor once, as that of a plain message, and checks the copy. False: it makes no
  // sense, or was overwritten meanwhile.
  bool take(const Descriptor& d, uint64_t position, Message& m) const {
    const uint64_t arena_pos = d.arena_pos.get();
    const uint64_t shape = d.shape.get();
    m.data = arena_ + (arena_pos & arena_mask_);
    m.len = shape_len(shape);
    m.position = position;
    m.arena_pos = arena_pos;
    m.time_ns = d.time_ns.get();
    m.key = 0;
    m.source = position;
    m.origin = lane_id_;
    m.topic = shape_topic(shape);
    m.parts = 1;
    m.flags = 0;
    keep_order();
    return d.stamp.load_relaxed() == position + 1 && lies_within(arena_pos, shape);
  }
  // The same for any descriptor. False also: it is a gap.
  bool take_any(const Descriptor& d, uint64_t position, Message& m) const;
  bool lies_within(uint64_t arena_pos, uint64_t shape) const {
    return shape_len(shape) <= arena_mask_ + 1 - (arena_pos & arena_mask_) &&
           shape_topic(shape) < topics_;
  }
  Next none(Message& m, uint64_t stamp);
  Next special(Message& m);
  Next odd(Message& m);
  Next overrun(Message& m);
  bool lapped(uint64_t stamp) const;
  Next gap(Message& m, uint64_t to, uint64_t reason);

  static constexpr uint64_t kAhead = 16;  // messages

  const Descriptor* ring_ = nullptr;
  const Extra* extras_ = nullptr;
  const std::byte* arena_ = nullptr;
  uint64_t ring_mask_ = 0;
  uint64_t arena_mask_ = 0;
  uint64_t next_ = 0;
  uint64_t lane_id_ = 0;
  uint32_t topics_ = 0;
  ReaderSlot* slot_ = nullptr;
  const NodePage* page_ = nullptr;
  const ReaderMark* mark_ = nullptr;
  uint64_t joined_state_ = 0;
  const LaneHeader* header_ = nullptr;
  Join join_;
};

}  // namespace penstock
