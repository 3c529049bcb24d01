// JoinedLane: one lane that a receiver reads, with what the receiver has to know about it: names of
// its topics and which of them it wants, what it has let go of, how it ends. One thread.
//
//   next() ──▶ a view in the lane (lossy: in a copy) ──▶ done() ──▶ now and then: release()
//
// The position is told to the writer every 64 messages, every quarter of the ring or the arena, and
// when the lane is empty: early enough for a writer that waits, and a line that it may be looking
// at is not written per message. An inbox is told at once, because what its reader has not let go
// of when it dies goes to another; and so is a lane whose reader must not be behind for long.
#pragma once

#include <algorithm>
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
                                                  const std::string& filter,
                                                  const attach::Overflow& overflow, bool zero_copy);

  enum class Next : uint8_t {
    kMessage,
    kGap,
    kNothing,  // empty; everything is let go of
    kMore,     // only unwanted messages so far; there may be more
  };

  // The next message or gap. `out` and what it refers to are valid until done() and the next call.
  Next next(const penstock_message*& out) {
    out = next_plain(false);
    return out != nullptr ? Next::kMessage : other(out);
  }

  // The same, if that is a plain message of the topic that was shown last; or null. `more`: of a
  // backlog.
  const penstock_message* next_plain(bool more) {
    LaneReader::Plain p;
    if (!reader_.next_plain(shown_topic_, p, more)) return nullptr;
    plain_.data = p.data;
    plain_.len = p.len;
    plain_.position = p.position;
    plain_.time_ns = p.time_ns;
    if (p.time_ns != 0) [[unlikely]]
      count_delay(p.time_ns);
    arena_end_ = p.arena_pos + p.len;
    return &plain_;
  }

  // The receiver is done with what next() returned, a message or a gap. False: meanwhile the node
  // evicted this reader, so it may have been overwritten while it was looked at.
  [[nodiscard]] bool done(bool message) {
    if (!reader_.surely_not_evicted()) [[unlikely]] {
      if (evicted()) return false;
    }
    shown_ += message ? 1 : 0;
    release_if_due();
    return true;
  }

  void release() {
    if (released_ == reader_.position()) return;
    released_ = reader_.position();
    release_at_ = released_ + most_held_;
    release_arena_at_ = arena_end_ + most_held_bytes_;
    reader_.account(shown_, skipped_);
    reader_.release();
  }

  // The node has removed this reader and we have not told it yet.
  bool evicted() const { return !over_ && reader_.evicted(); }
  // Ends the lane after that and tells what is lost: all that was not returned, and the last one
  // that was when it was still `in_use`. `lost`: how many, maybe none.
  const penstock_message* end_evicted(bool in_use, uint64_t& lost);

  // The node wants the slot back: read what is left.
  void leave() { leaving_ = true; }
  // After next() said kNothing: true when nothing will come any more.
  bool finished() const { return (leaving_ && !stalled_) || over_; }

  bool is(uint64_t lane_id, uint32_t slot, uint32_t generation) const {
    return lane_id_ == lane_id && slot_ == slot && reader_.join().generation == generation;
  }
  attach::Released released() const;

  void arm() { reader_.arm(); }
  void disarm() { reader_.disarm(); }
  // `waiting`: asks for the bytes of the next message together with its descriptor, and not after
  // it. That takes the line from a sender that is about to write it, so only of one that is slow.
  bool vacant(bool waiting) const {
    if (waiting) reader_.prefetch_at(arena_end_);
    return reader_.vacant();
  }

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
  const TopicRow* row_of(uint32_t topic) {
    const TopicRow* row = topic < rows_.size() ? &rows_[topic] : nullptr;
    return row == nullptr || row->use == Use::kUnknown ? learn(topic) : row;
  }
  const TopicRow* learn(uint32_t topic);
  bool copy_out(Message& m);
  Next other(const penstock_message*& out);
  bool stands_at_copied();
  void show(const Message& m, const TopicRow& row);
  void count_delay(uint64_t sent_ns);

  // joined_lane_shed.cc: what the policy passes over
  void set_policy(const attach::Overflow& overflow, const LaneGeometry& lane);
  bool shed(Message& m);
  uint64_t oldest_kept(uint64_t head) const;
  uint64_t newest_kept(uint64_t head) const;
  uint64_t conflate(uint64_t head);

  bool look_ahead(Message& m) const;
  void show_gap(const Message& m);
  void show_loss(const Message& m, Drop why);
  bool show_end();
  void fill_gap(uint64_t position, uint64_t count, Drop why);

  void release_if_due() {
    if (reader_.position() >= release_at_ || arena_end_ >= release_arena_at_) release();
  }

  LaneReader reader_;
  DelayCounts* delays_ = nullptr;  // the client's
  penstock_message plain_{};  // shown: only what differs from one plain message to the next changes
  penstock_message other_{};  // shown: anything else
  uint64_t shown_topic_ = LaneReader::kNoTopic;  // of plain_; none while lossy, and when over
  uint64_t released_ = 0;
  uint64_t release_at_ = 0;  // a position, and one in the arena
  uint64_t release_arena_at_ = 0;
  uint64_t arena_end_ = 0;  // of the last message
  uint64_t most_held_ = 0;
  uint64_t most_held_bytes_ = 0;
  std::vector<TopicRow> rows_;
  bool lossy_ = false;
  bool sheds_ = false;  // lossy, and its policy passes messages over
  attach::Overflow overflow_;
  uint64_t cut_ = 0;                 // drop_newest: from here on ...
  uint64_t cut_end_ = 0;             // ... to here nothing is shown; at or before cut_: all is
  uint64_t scanned_ = 0;             // conflate: before it all stand in newest_of_
  std::vector<uint64_t> newest_of_;  // by topic: position + 1
  bool over_ = false;
  bool leaving_ = false;
  bool zero_copy_ = false;  // nothing that was copied on its way here is shown:
  bool stalled_ = false;    // such a message is next, and the node will end the subscription
  bool end_told_ = false;
  bool everything_ = false;
  uint32_t slot_ = 0;
  uint64_t shown_ = 0;
  uint64_t skipped_ = 0;
  uint64_t source_end_ = 0;  // one past what was told of, where it was published; 0: nothing was
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
