// LaneWriter: the one writer of a lane. Owned by one thread of the publishing client, or by a
// worker of the node for mirrors and inboxes.
//
//   loan(len) ──▶ bytes in the arena ──▶ commit(meta) ──▶ every reader sees it
//
// The hot path reads nothing that others write but the armed words of readers that sleep. Once a
// lap, or when full, the writer looks at the node page (who reads?) and at the readers' positions;
// see look_at_readers() for why that is often enough.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "dataplane/base/errc.h"
#include "dataplane/base/event.h"
#include "dataplane/base/prefetch.h"
#include "dataplane/lane/layout.h"
#include "dataplane/lane/message.h"

namespace penstock {

// What a publisher says about a message besides its bytes.
struct Meta {
  uint32_t topic = 0;
  uint16_t parts = 1;
  uint16_t flags = 0;
  uint64_t time_ns = 0;
  uint64_t key = 0;
};

// How to wake a reader that sleeps. A client: its event. A worker: set its bell bit, and ring the
// event only when the worker itself sleeps.
struct Wake {
  int event_fd = -1;           // owned by the caller; -1: nobody to wake
  SharedWord* bell = nullptr;  // null for a client
  uint64_t bell_bit = 0;
  const SharedWord* sleeper = nullptr;  // the worker's own armed word
};

class LaneWriter {
 public:
  LaneWriter() = default;

  // Node: writes the header of a fresh lane. `memory` has geometry.total_bytes(), all zero.
  static void format(std::byte* memory, const LaneGeometry& geometry, uint64_t lane_id,
                     uint64_t epoch);

  // Takes over a formatted lane. The caller keeps the memory mapped as long as the writer lives.
  // `page` may be null for a lane inside one process that never has a page.
  LaneWriter(std::byte* memory, const LaneGeometry& geometry, const NodePage* page);

  // Appends a topic and returns its id. kFull: the table is full; kBadTopic: empty or too long.
  // (What a topic may look like is dataplane/topic's business.)
  Result<uint32_t> add_topic(std::string_view name);
  // Node: writes row `id` of a mirror or inbox, whose ids are given elsewhere. Rows between may
  // stay empty. kInvalid: no such row, or it has another name.
  Errc put_topic(uint32_t id, std::string_view name);
  uint32_t topic_count() const { return topics_; }

  // --- hot path ---

  // Room for `len` contiguous bytes, 64-byte aligned, or null: a reliable reader is behind (or len
  // is larger than the arena: see fits()). A second loan before commit() replaces the first.
  std::byte* loan(uint64_t len) {
    if (len > room_end_ - fill_ || head_ >= ring_limit_) [[unlikely]]
      return make_room(len);
    loan_len_ = len;
    return at_place(fill_);
  }

  // Publishes what was loaned and returns its position. `len` may be less than was loaned.
  uint64_t commit(const Meta& meta, uint64_t len) {
    const uint64_t position = head_;
    publish_loan(position, meta, len, position, lane_id_);
    return position;
  }
  uint64_t commit(const Meta& meta) { return commit(meta, loan_len_); }

  // commit() of a message that was first published elsewhere: it keeps its source and origin.
  uint64_t publish_loaned(const Meta& meta, uint64_t source, uint64_t origin) {
    const uint64_t position = head_;
    publish_loan(position, meta, loan_len_, source, origin);
    return position;
  }

  // Copies and publishes. kWouldBlock: nothing was sent. kTooBig: it never fits.
  Errc send(const Meta& meta, std::span<const std::byte> bytes) {
    std::byte* to = loan(bytes.size());
    if (to == nullptr) return fits(bytes.size()) ? Errc::kWouldBlock : Errc::kTooBig;
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    commit(meta);
    return Errc::kOk;
  }
  Errc send_parts(Meta meta, std::span<const std::span<const std::byte>> parts);

  bool fits(uint64_t len) const { return len <= arena_size_; }
  uint64_t head() const { return head_; }
  uint64_t fill() const { return fill_; }
  const LaneGeometry& geometry() const { return geometry_; }

  // --- mirrors: a link places bytes in any order, then publishes in order ---

  // Where `len` bytes at `arena_pos` go. The caller has checked both against its credit, and they
  // don't straddle the end of the arena.
  std::byte* at(uint64_t arena_pos, uint64_t len) {
    if (arena_pos + len > reserved_) [[unlikely]]
      reserve(arena_pos, len);
    return at_place(arena_pos);
  }

  // Somebody else may write the arena up to `end` from now on (RDMA), at any time: who does not
  // hold the writer back must not believe what lies an arena before that.
  void may_be_written(uint64_t end) {
    if (end <= reserved_) return;
    reserved_ = end;
    header_->reserved.store_first(end);
  }
  // Whether there are such readers, as of the last look.
  bool has_lossy() const;

  // Publishes position head() with bytes that already lie at `arena_pos`, without waking anybody or
  // moving the header's head: for bursts, closed by flush().
  void publish_quietly(const Meta& meta, uint64_t arena_pos, uint64_t len, uint64_t source,
                       uint64_t origin) {
    write_descriptor(head_, arena_pos, len, meta, source, origin);
    head_++;
    fill_ = arena_next(arena_pos, len);
    room_end_ = fill_;
  }
  void flush() {
    header_->head.store(head_);
    local_fence();  // pairs with the remote_fence() of a reader that goes to sleep
    wake_sleepers();
  }

  // --- readers ---

  // What every reliable reader has let go of, as a position and as an arena position: up to
  // tail + ring size and arena tail + arena size may be written. Looks at the node page and at the
  // readers; closes a burst of publish_quietly() as far as the header is concerned.
  struct Tail {
    uint64_t position;
    uint64_t arena;
  };
  Tail look_at_readers();

  // How far the reliable readers of the last look are now. Permits nothing: that takes a look.
  uint64_t consumed() const;

  // The reader in mark `index` can be read at `slot` and woken through `wake`. Until this is called
  // for a mark, its start position holds the writer back. The slot stays mapped until
  // detach_reader.
  void attach_reader(uint32_t index, uint32_t generation, const ReaderSlot* slot, const Wake& wake);

  // Forgets slot and wake of a reader whose mark is free or evicted.
  void detach_reader(uint32_t index);

  // Looks at the node page and the readers now instead of at the next lap.
  void refresh();

  // How many readers there are, as of the last look.
  uint32_t reader_count() const { return active_count_; }
  bool has_readers() {
    if (page_changed()) refresh();
    return active_count_ != 0;
  }

  // Positions beyond the head that were refused.
  uint64_t lies() const { return lies_; }

 private:
  struct Reader {
    uint64_t state = 0;  // as in ReaderMark
    uint64_t hold = 0;   // what it certainly let go of
    const ReaderSlot* slot = nullptr;
    uint32_t slot_generation = 0;
    Wake wake;
  };
  // How many small messages ahead the lines that they will need are asked for. Behind the end of
  // the ring or the arena lies something else, for which asking is no harm.
  static constexpr uint64_t kAhead = 8;

  // A reader to wake, as the hot path needs it.
  struct Sleeper {
    const SharedWord* armed = nullptr;
    uint64_t rung = 0;  // value of armed that was rung for
    uint64_t sleeper_rung = 0;
    uint32_t index = 0;
    uint32_t generation = 0;
  };

  bool page_changed() const {
    return page_ != nullptr && page_->generation.load() != seen_generation_;
  }
  bool still_held() const;
  std::byte* held();
  std::byte* make_room(uint64_t len);
  void reserve(uint64_t start, uint64_t len);
  void read_marks();
  uint64_t consumed(Reader& r, const ReaderMark& mark);

  std::byte* at_place(uint64_t arena_pos) { return arena_ + (arena_pos & arena_mask_); }

  void publish_loan(uint64_t position, const Meta& meta, uint64_t len, uint64_t source,
                    uint64_t origin) {
    const uint64_t taken = arena_next(0, loan_len_);
    const std::byte* place = at_place(fill_);
    write_descriptor(position, fill_, len, meta, source, origin);
    head_ = position + 1;
    fill_ += taken;
    // Behind the stores, whose own lines must not wait for these.
    prefetch_for_writing(&ring_[position & ring_mask_] + kAhead);
    prefetch_for_writing(place + kAhead * kLine);
    flush();
  }

  void write_descriptor(uint64_t position, uint64_t arena_pos, uint64_t len, const Meta& meta,
                        uint64_t source, uint64_t origin) {
    const uint64_t slot = position & ring_mask_;
    const uint64_t shape = pack_shape(len, meta.topic, meta.flags);
    const bool plain =
        (meta.key | (meta.parts ^ 1U) | (source ^ position) | (origin ^ lane_id_)) == 0;
    Descriptor& d = ring_[slot];
    d.stamp.store_relaxed(0);
    keep_order();
    d.arena_pos.set(arena_pos);
    d.time_ns.set(meta.time_ns);
    if (plain) {
      d.shape.set(shape);
    } else {
      d.shape.set(shape | pack_shape(0, 0, kFlagExtra));
      Extra& e = extras_[slot];
      e.key.set(meta.key);
      e.source.set(source);
      e.origin.set(origin);
      e.parts.set(meta.parts);
    }
    d.stamp.store(position + 1);  // pairs with the load in LaneReader::next
  }

  void wake_sleepers() {
    const Sleeper* const end = sleepers_.data() + sleeper_count_;
    for (const Sleeper* s = sleepers_.data(); s != end; s++)
      if (s->armed->load_relaxed() != s->rung) [[unlikely]]
        return wake_all();
  }
  void wake_all();
  void wake_one(Sleeper& s);

  LaneHeader* header_ = nullptr;
  Descriptor* ring_ = nullptr;
  Extra* extras_ = nullptr;
  std::byte* arena_ = nullptr;
  const NodePage* page_ = nullptr;
  uint64_t ring_mask_ = 0;
  uint64_t arena_mask_ = 0;
  uint64_t ring_size_ = 0;
  uint64_t arena_size_ = 0;
  uint64_t head_ = 0;
  uint64_t fill_ = 0;
  uint64_t ring_limit_ = 0;   // head_ may grow to here before the readers are looked at again
  uint64_t arena_limit_ = 0;  // the same for arena positions
  uint64_t reserved_ = 0;     // as in the header
  uint64_t room_end_ = 0;     // from fill_ to here may be written at once, in one piece
  const ReaderSlot* held_by_ = nullptr;  // whose position tail_ is; null: nobody's, or no slot yet
  uint64_t tail_ = 0;                    // every reliable reader has let go of what lies before
  uint64_t loan_len_ = 0;
  uint64_t held_ = 0;  // as in the header
  uint64_t lane_id_ = 0;
  uint32_t sleeper_count_ = 0;
  uint32_t active_count_ = 0;
  uint32_t topics_ = 0;
  uint64_t seen_generation_ = ~uint64_t{0};
  uint64_t lies_ = 0;
  LaneGeometry geometry_;
  std::array<Sleeper, kMaxReaders> sleepers_{};
  std::array<uint8_t, kMaxReaders> active_{};  // indices of readers
  std::array<Reader, kMaxReaders> readers_{};
};

}  // namespace penstock
