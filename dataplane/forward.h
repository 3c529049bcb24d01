// Forward: one lane on its way to one peer, for the broadcast subscriptions there. A reader of the
// lane of its own, so that each peer has its own pace and its own line in `penstock show lanes`.
//
//   lane ──next──▶ Forward (topics the peer asked for) ──▶ OutLane ──▶ link ──▶ mirror at the peer
//                      ◀──────────── released ────────────
//
// When nobody at the peer may hold a publisher back, neither may the way there: at most half of the
// lane is in flight, and of what waits behind that the oldest is passed over when it is more than a
// quarter, or more than the peer's limits and the link asks for nothing. The peer gets a gap.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/lane_task.h"
#include "dataplane/link/chain.h"
#include "dataplane/link/feed.h"
#include "dataplane/link/out_lane.h"
#include "dataplane/link_path.h"
#include "dataplane/port.h"

namespace penstock {

// What a forward does with the messages of a topic.
enum class TopicUse : uint8_t {
  kUnknown,  // control has not decided: stop here until it has
  kSend,
  kSkip,
  kRefuse,  // the peer wants it but its mirror has no row for it
};

class Forward final : public LaneTask, public Feed {
 public:
  // What may be passed over: nothing, or what exceeds so many messages or bytes (0: a quarter of
  // the lane). And from which size on messages rather wait for RDMA than go by frames.
  struct Shed {
    bool may = false;
    uint64_t messages = 0;
    uint64_t bytes = 0;
    uint64_t hold_from = ~uint64_t{0};

    bool operator==(const Shed&) const = default;
  };

  struct Config {
    LaneReader::Join join;
    LinkPath* path = nullptr;
    uint32_t alias = 0;
    uint32_t epoch = 0;
    LaneGeometry mirror;       // as the peer said
    Region* region = nullptr;  // the lane's memory, known to the port; null: payloads are copied
    bool every_topic = false;  // control channel: no topics to ask for
    // What the peer missed while it was away, the last before the start of `join`: its readers are
    // told with the first thing that they get.
    uint64_t missed = 0;
    Shed shed = {};
    // Large messages go down it; outlives this. Null: each peer gets its own.
    Chain* chain = nullptr;
  };
  explicit Forward(const Config& config);

  // Between turns, or by a command.
  void set_topic(uint32_t topic, TopicUse use);
  void set_shed(const Shed& shed);

  // LaneTask
  uint32_t poll(uint64_t now) override;
  bool quiet() const override { return dry_ && !held_ && passed_.count == 0 && !reader_.ready(); }

  // Feed
  size_t next(std::span<Message> out) override;
  bool look(uint64_t source_position, Message& m) override;
  void released(uint64_t source_position) override;
  void* region() override { return region_; }

  OutLane& out() { return out_; }
  // Its place in the chain, or null.
  const ChainSeat* seat() const { return seat_ ? &*seat_ : nullptr; }

  // Messages that the peer did not ask for. Read by any core.
  const Counter& skipped() const { return skipped_; }
  // That it did ask for and cannot take.
  const Counter& refused() const { return refused_; }
  // That it got a gap in place of.
  const Counter& passed_over() const { return passed_over_; }
  // The position up to which the lane was read; counted apart from all that became of it.
  const SharedWord& taken() const { return taken_; }
  // Gaps of the lane that went to it.
  const Counter& gaps() const { return gaps_; }

 private:
  bool decided(const Message& m) const;
  Message missed_notice();
  Message passed_notice();
  bool full() const;
  void pass_over();

  static constexpr uint32_t kMostPassed = 256;  // a turn

  LinkPath* path_;
  Region* region_;
  bool dry_ = true;    // the link found nothing more and will not ask before it is woken
  bool held_ = false;  // held_message_ was read and waits for control to decide on its topic
  Message held_message_;
  uint64_t given_end_ = 0;     // one past the last message given to the link
  uint64_t released_end_ = 0;  // one past the last that the link let go of
  uint64_t given_arena_ = 0;   // the same in the arena
  uint64_t missed_ = 0;        // still to be told
  Shed shed_;
  struct {
    uint64_t from = 0;
    uint64_t count = 0;
  } passed_;            // passed over, still to be told: with nothing between these and the reader
  bool asked_ = false;  // by the link, since the last turn
  std::vector<TopicUse> use_;
  Counter skipped_;
  Counter refused_;
  Counter gaps_;
  Counter passed_over_;
  SharedWord taken_;
  OutLane out_;
  std::optional<ChainSeat> seat_;
};

}  // namespace penstock
