// JoinedLane: one lane that a receiver reads, with what the receiver has to know about it: names of
// its topics and which of them it wants, what it has let go of, how it ends. One thread.
//
//   next() ──▶ a view in the lane (lossy: in a copy) ──▶ done() ──▶ now and then: release()
//
// The position is told to the writer every 64 messages, every quarter of the ring or the arena, and
// when the lane is empty: early enough for a writer that waits, and a line that it may be looking
// at is not written per message. An inbox is told at once, because what its reader has not let go
// of when it dies goes to another.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/drop.h"
#include "dataplane/base/sealed_memory.h"
#include "dataplane/client/attach_protocol.h"
#include "dataplane/client/control_socket.h"
#include "dataplane/client/penstock.h"
#include "dataplane/lane/reader.h"

namespace penstock::client {

class JoinedLane {
 public:
  // kInvalid: the node's words make no sense. kNoMemory, kSystem: no room to map it. The slot is
  // ours from here on.
  static Result<std::unique_ptr<JoinedLane>> open(const attach::Join& join, const Packet& packet,
                                                  PositionTable* positions,
                                                  const std::string& filter);

  enum class Next : uint8_t {
    kMessage,
    kGap,
    kNothing,  // empty; everything is let go of
    kMore,     // only unwanted messages so far; there may be more
  };

  // The next message or gap. What it refers to is valid until done() and the next call.
  Next next(penstock_message& out) {
    if (over_) [[unlikely]]
      return Next::kNothing;
    Message m;
    for (uint32_t i = 0; i < kMostSkips; i++) {
      switch (reader_.next(m)) {
        case LaneReader::Next::kEmpty:
          release();
          return Next::kNothing;
        case LaneReader::Next::kGap:
          show_gap(out, m);
          return Next::kGap;
        case LaneReader::Next::kMessage:
          break;
      }
      arena_end_ = m.arena_pos + m.len;
      const TopicRow* row = m.topic < rows_.size() ? &rows_[m.topic] : nullptr;
      if (row == nullptr || row->use == Use::kUnknown) [[unlikely]]
        row = learn(m.topic);
      if (row->use == Use::kWanted) [[likely]] {
        if (lossy_ && !copy_out(m)) {
          lost_race(out, m);
          return Next::kGap;
        }
        show(out, m, *row);
        return Next::kMessage;
      }
      if (row->use == Use::kNonsense) {
        nonsense(out, m);
        return Next::kGap;
      }
      skipped_++;
      release_if_due();
    }
    return Next::kMore;
  }

  // The receiver is done with what next() returned. False: meanwhile the node evicted this reader,
  // so it may have been overwritten while it was looked at.
  [[nodiscard]] bool done() {
    if (evicted()) [[unlikely]]
      return false;
    release_if_due();
    return true;
  }

  void release() {
    if (released_ == reader_.position()) return;
    released_ = reader_.position();
    released_arena_ = arena_end_;
    reader_.release();
  }

  // The node has removed this reader and we have not told it yet.
  bool evicted() const { return !over_ && reader_.evicted(); }
  // Ends the lane after that and tells what is lost: all that was not returned, and the last one
  // that was when it was still `in_use`.
  void end_evicted(bool in_use, penstock_message& gap);

  // The node wants the slot back: read what is left.
  void leave() { leaving_ = true; }
  // After next() said kNothing: true when nothing will come any more.
  bool finished() const { return leaving_ || over_; }

  bool is(uint64_t lane_id, uint32_t slot, uint32_t generation) const {
    return lane_id_ == lane_id && slot_ == slot && reader_.join().generation == generation;
  }
  attach::Released released() const;

  void arm() { reader_.arm(); }
  void disarm() { reader_.disarm(); }
  bool ready() const { return reader_.ready(); }

  uint64_t skipped() const { return skipped_; }

 private:
  static constexpr uint32_t kMostSkips = 256;

  enum class Use : uint8_t { kUnknown, kWanted, kUnwanted, kNonsense };
  struct TopicRow {
    const char* name = nullptr;  // in names_
    uint16_t len = 0;
    Use use = Use::kUnknown;
  };

  JoinedLane() = default;
  const TopicRow* learn(uint32_t topic);
  bool copy_out(Message& m);
  void show(penstock_message& out, const Message& m, const TopicRow& row) {
    out.data = m.data;
    out.len = m.len;
    out.topic = row.name;
    out.position = m.source;
    out.lane = m.origin;
    out.time_ns = m.time_ns;
    out.key = m.key;
    out.origin_node = origin_node_;
    out.publisher = publisher_;
    out.gap_count = 0;
    out.gap_reason = 0;
    out.topic_len = row.len;
    out.parts = m.parts;
    out.reserved = 0;
    out.whole = m.data;
    out.whole_len = m.len;
    if (m.parts > 1) [[unlikely]] {
      const auto first = part(m, 0);
      if (!first.empty()) out.data = first.data();
      out.len = first.size();
    }
  }
  void show_gap(penstock_message& out, const Message& m);
  void lost_race(penstock_message& out, const Message& m);
  void nonsense(penstock_message& out, const Message& m);
  void fill_gap(penstock_message& out, uint64_t position, uint64_t count, Drop why) const;

  void release_if_due() {
    const uint64_t held = reader_.position() - released_;
    if (held >= most_held_ || arena_end_ - released_arena_ >= most_held_bytes_) release();
  }

  LaneReader reader_;
  uint64_t released_ = 0;
  uint64_t released_arena_ = 0;
  uint64_t arena_end_ = 0;  // of the last message
  uint64_t most_held_ = 0;
  uint64_t most_held_bytes_ = 0;
  std::vector<TopicRow> rows_;
  bool lossy_ = false;
  bool over_ = false;
  bool leaving_ = false;
  bool everything_ = false;
  uint32_t slot_ = 0;
  uint64_t skipped_ = 0;
  uint64_t lane_id_ = 0;
  uint64_t origin_node_ = 0;
  char publisher_[attach::kNameBytes] = {};
  std::string filter_;
  std::vector<std::unique_ptr<char[]>> names_;
  std::unique_ptr<std::byte[]> copy_;
  uint64_t copy_bytes_ = 0;
  Mapping lane_;
  Mapping page_;
};

}  // namespace penstock::client
