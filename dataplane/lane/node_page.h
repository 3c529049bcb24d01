// LaneDesk: who reads one lane. Owned by control, which is the only writer of the lane's node page;
// the writer and the readers of the lane map that page read-only.
//
//   control                         writer of the lane             reader
//   mark, generation + 1            looks once a lap, or when full
//   full_fence()                    head stored, full_fence(), page loaded: either we see that
//   start = header's head           head, or it sees the new mark
//   mark.start = start  ─────────── holds at start ──────────────▶ takes its slot over at start
//
// What is published after join() returns, the reader gets. LaneWriter::look_at_readers says why.
#pragma once

#include <cstdint>

#include "dataplane/base/drop.h"
#include "dataplane/base/errc.h"
#include "dataplane/lane/layout.h"

namespace penstock {

class LaneDesk {
 public:
  LaneDesk() = default;
  // A fresh page, all zero, mapped for writing, and the lane's header; both outlive the desk.
  // `lane_id` is unique on the node: generations of two lanes don't meet in a reader's slot.
  LaneDesk(NodePage* page, const LaneHeader* header, uint64_t lane_id);

  struct Joined {
    uint32_t index;  // mark in the node page
    uint32_t generation;
    uint64_t start;  // the reader's first position
  };
  // kFull: kMaxReaders read it; kClosed: the lane is closed; kInvalid: its publisher scribbled on
  // the header. The caller tells reader and writer.
  Result<Joined> join(bool lossy);

  // The same for a reliable reader that is owed what was published from `start` on, though no live
  // reader was there. For pushers, who look at the page before each message and publish none as
  // long as they know that: so nothing since `start` has been overwritten.
  Result<Joined> join_from(uint64_t start);

  // Frees the mark: the reader let go, or is dead. The writer no longer minds it.
  void leave(uint32_t index);

  // The writer no longer minds the reader, who finds out by LaneReader::evicted() and eviction();
  // the mark stays taken until leave().
  void evict(uint32_t index, Drop why = Drop::kEvicted);

  // No more messages will come. Wake the readers afterwards. A writer that may be at one just now
  // is fenced, which takes two system calls.
  enum class Writer : uint8_t { kMayWrite, kHasLetGo };
  void close(CloseReason why, Writer writer = Writer::kMayWrite);

  ReaderState state(uint32_t index) const { return mark_state(page_->marks[index].state.load()); }
  uint32_t readers() const { return readers_; }          // marks taken
  uint32_t live() const { return readers_ - evicted_; }  // of these, not evicted

 private:
  Result<Joined> take_mark(ReaderState state, uint64_t start);
  void leave_mark(uint32_t index);
  void change() { page_->generation.store(page_->generation.load_relaxed() + 1); }

  NodePage* page_ = nullptr;
  const LaneHeader* header_ = nullptr;
  uint32_t next_generation_ = 0;
  uint32_t readers_ = 0;
  uint32_t evicted_ = 0;
};

}  // namespace penstock
