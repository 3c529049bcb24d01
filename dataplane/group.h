// Groups: each message goes to one member. A group lives on one worker, which reads every lane with
// a matching topic (GroupSource) and writes each message to the member with most room: the inbox of
// a client here, or a peer node that has members.
//
//   lane A ──▶ GroupSource ──┐                ┌──▶ inbox of client 1 (copied)
//   lane B ──▶ GroupSource ──┼──▶ Group.pick ─┼──▶ inbox of client 2
//   mirror ──▶ GroupSource ──┘                └──▶ RemoteMember ──▶ OutLane ──▶ group at the peer
//
// Full or empty of members: the message stays in its lane and the pusher gets would_block. The
// inbox of a member that died becomes a source itself: what it had not let go of goes to the
// others.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/lane/writer.h"
#include "dataplane/lane_task.h"
#include "dataplane/link/feed.h"
#include "dataplane/link/out_lane.h"
#include "dataplane/link_path.h"
#include "dataplane/port.h"

namespace penstock {

inline constexpr uint32_t kNoTopic = UINT32_MAX;       // not this group's
inline constexpr uint32_t kAskTopic = UINT32_MAX - 1;  // control has not decided: stop until it has

// A member here: the writer of a client's inbox. Every inbox of a group has the same topic table,
// written by control before a topic comes into use.
struct GroupMember {
  LaneWriter* inbox = nullptr;
  Counter delivered;  // messages
};

class GroupSource;

// The members at one peer, for one source lane. Owned by the source's worker.
class RemoteMember final : public Feed {
 public:
  RemoteMember(LaneReader& reader, LinkPath* path, uint32_t alias, uint32_t epoch,
               const LaneGeometry& mirror, Region* region);

  // Takes the message if there is room; it is read again from the lane when the link asks.
  bool take(uint64_t position, uint32_t topic);
  // The peer has joined its members for a topic: messages of it may go there. Or it never will.
  void allow(uint32_t topic) { decide(topic, Use::kAllowed); }
  void refuse(uint32_t topic) { decide(topic, Use::kRefused); }
  // It ends, and what it has not taken is others'.
  void take_no_more() { uses_.assign(uses_.size(), Use::kUnknown); }
  bool takes(uint32_t topic) const { return topic < uses_.size() && uses_[topic] == Use::kAllowed; }
  // It never will: the peer's mirror has no row for it, or its rules do not let it in.
  bool refuses(uint32_t topic) const {
    return topic >= uses_.size() || uses_[topic] == Use::kRefused;
  }
  uint64_t size() const { return fifo_.size(); }
  uint64_t room() const { return fifo_.size() - (tail_ - released_); }
  // The oldest position that the peer does not have yet, or `none`.
  uint64_t oldest(uint64_t none) const;

  // Feed
  size_t next(std::span<Message> out) override;
  bool look(uint64_t source_position, Message& m) override;
  void released(uint64_t source_position) override;
  void* region() override { return region_; }

  OutLane& out() { return out_; }

  // Messages that the publisher changed before they were sent: they went as gaps. Any core.
  const Counter& unreadable() const { return unreadable_; }

 private:
  friend class GroupSource;
  enum class Use : uint8_t { kUnknown, kAllowed, kRefused };

  void decide(uint32_t topic, Use use) {
    if (topic < uses_.size()) uses_[topic] = use;
  }

  LaneReader& reader_;
  GroupSource* source_ = nullptr;  // while it is one of that source's
  LinkPath* path_;
  Region* region_;
  std::vector<uint64_t> fifo_;  // positions, power of two
  uint64_t tail_ = 0;           // taken
  uint64_t given_ = 0;          // given to the link
  uint64_t released_ = 0;       // arrived
  std::vector<Use> uses_;       // by topic
  Counter unreadable_;
  OutLane out_;
};

// The members of one group on one worker. Changed by commands only.
class Group {
 public:
  void add(GroupMember* member) { members_.push_back(member); }
  void remove(GroupMember* member);

 private:
  friend class GroupSource;
  std::vector<GroupMember*> members_;
  size_t turn_ = 0;  // round robin among equals
};

class GroupSource final : public LaneTask {
 public:
  GroupSource(const LaneReader::Join& join, Group& group)
      : LaneTask(join),
        group_(group),
        topics_(join.geometry.topics, kAskTopic),
        refused_topics_(join.geometry.topics) {}

  // The row of the inboxes' topic table for a topic of this lane; kNoTopic: not this group's.
  void set_topic(uint32_t topic, uint32_t inbox_topic);
  // The last peer that had members refuses it: as long as there is no member at all, messages of it
  // are dropped and wait for nobody. accept(): somebody was asked anew.
  void refuse(uint32_t topic) { refused_topics_[topic] = true; }
  void accept() { refused_topics_.assign(refused_topics_.size(), false); }
  void add_remote(RemoteMember* remote);
  void remove_remote(RemoteMember* remote);

  // Lets go of what every remote member has got. A source that has read all there is sleeps while
  // its last messages are under way, so their arrival must do it.
  void let_go();

  uint32_t poll(uint64_t now) override;
  bool quiet() const override { return !held_ && !reader_.ready(); }

  const Counter& dispatched() const { return dispatched_; }
  const Counter& skipped() const { return skipped_; }
  const Counter& refused() const { return refused_; }  // all members are at peers that refuse it
  const Counter& too_big() const { return too_big_; }  // larger than the member's inbox
  const Counter& gaps() const { return gaps_; }        // messages that its lane could not give

 private:
  bool dispatch(const Message& m, uint32_t topic);

  Group& group_;
  std::vector<RemoteMember*> remotes_;
  std::vector<uint32_t> topics_;
  std::vector<bool> refused_topics_;
  bool held_ = false;
  Message held_message_;
  Counter dispatched_;
  Counter skipped_;
  Counter refused_;
  Counter too_big_;
  Counter gaps_;
};

}  // namespace penstock
