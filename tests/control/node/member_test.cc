// A member of a group that lies, or lets go of its inbox: it is a member no more, and what it left
// there goes to the others. Played by hand, on virtual time.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/fuzz/guest.h"

namespace penstock {
namespace {

using test::Guest;

constexpr LaneGeometry kLane{.ring_log2 = 6, .arena_log2 = 12, .topics = 4};

class Member : public ::testing::Test {
 protected:
  // The first member has five messages, of which it took two; the second came after them.
  Member() {
    NodeConfig c;
    c.id = c.epoch = 1;
    c.lane = c.mirror = c.inbox = kLane;
    c.max_arena_bytes = 1 << 20;
    c.workers.assign(1, IdleConfig{});
    node = Node::create(
        c, [this](std::string_view t) { log += std::string(t) + "\n"; }, log);
    for (Guest* g : {&pusher, &first, &second}) {
      g->attach(*node, now);
      g->say(attach::Hello{});
      settle();
      g->say(attach::Mapped{});
    }
    pusher.say(attach::Declare{.kind = attach::Kind::kPusher, .geometry = kLane, .name = {}});
    settle();
    pusher.say(attach::Mapped{.lane_id = pusher.lanes.at(0).id});
    lane = LaneWriter(pusher.lanes[0].memory.data(), kLane, nullptr);
    (void)lane.add_topic("t");
    attach::AddTopic topic;
    topic.lane_id = pusher.lanes[0].id;
    peer::set_text(topic.name, "t");
    pusher.say(topic);
    join(first);
    push(5);
    join(second);
    take(first, 2);
  }

  void settle() {
    for (int i = 0; i < 9; i++) {
      now += Node::kTickNs;
      node->worker(0).turn(now);
      node->poll(now);
    }
    for (Guest* g : {&pusher, &first, &second})
      while (g->hear()) {
      }
  }
  void join(Guest& g) {
    attach::Subscribe s;
    s.mode = attach::Mode::kGroup;
    s.inbox = kLane;
    peer::set_text(s.filter, "t");
    g.say(s);
    settle();
    take(g, g.joins.at(0).start);
  }
  void take(Guest& g, uint64_t position) {
    const attach::Join& j = g.joins.at(0);
    ReaderSlot& slot = reinterpret_cast<PositionTable*>(g.positions.data())->slots[j.slot];
    slot.shown.store(position - j.start);
    slot.position.store(position);
    slot.generation.store(j.generation);
    settle();
  }
  void push(int count) {
    for (int i = 0; i < count; i++)
      ASSERT_EQ(lane.send({}, std::as_bytes(std::span("work"))), Errc::kOk);
    settle();
  }
  // Messages in the inbox of a member; none when it has none any more.
  int64_t inbox(const Guest& g) {
    for (const auto& l : nlohmann::json::parse(node->show("lanes")))
      if (l["id"] == g.joins.at(0).lane_id) return l["sent"];
    return -1;
  }

  std::string log;
  uint64_t now = 1'000'000'000;
  std::unique_ptr<Node> node;
  Guest pusher;
  Guest first;
  Guest second;
  LaneWriter lane;
};

TEST_F(Member, WhoLiesIsOneNoMoreAndTheOthersGetTheRest) {
  ASSERT_EQ(inbox(first), 5);
  take(first, 1'000);
  EXPECT_NE(log.find("evicted"), std::string::npos);
  ASSERT_EQ(first.leaves.size(), 1u) << "it is told";
  EXPECT_EQ(first.leaves[0].lane_id, first.joins[0].lane_id);
  EXPECT_EQ(inbox(second), 3) << node->show("lanes");
  push(4);
  EXPECT_EQ(inbox(second), 7) << node->show("lanes");
  EXPECT_EQ(inbox(first), -1) << "its inbox is freed" << node->show("lanes");
  first.leave();
  settle();
  push(1);
  EXPECT_EQ(inbox(second), 8) << node->show("lanes");
}

TEST_F(Member, WhoLetsGoOfItsInboxIsOneNoMore) {
  const attach::Join& j = first.joins[0];
  first.say(attach::Released{.lane_id = j.lane_id, .slot = j.slot, .generation = j.generation});
  settle();
  EXPECT_EQ(inbox(second), 3) << node->show("lanes");
  push(4);
  EXPECT_EQ(inbox(second), 7) << node->show("lanes");
  first.say(attach::Unsubscribe{.subscription = first.subscriptions.at(0)});
  settle();
  push(1);
  EXPECT_EQ(inbox(second), 8) << node->show("lanes");
}

// What its header says is not what it holds.
TEST_F(Member, ALaneWithAScribbledHeaderEndsWhereItsStampsEnd) {
  reinterpret_cast<LaneHeader*>(pusher.lanes[0].memory.data())->head.store(uint64_t{1} << 40);
  pusher.say(attach::CloseLane{.lane_id = pusher.lanes[0].id});
  settle();
  for (const auto& l : nlohmann::json::parse(node->show("lanes")))
    EXPECT_EQ(l["kind"], "inbox") << l.dump();
  EXPECT_EQ(node->show("drops"), "{}") << "nothing was lost of what was published";
}

// Ring and topics are memory too.
TEST_F(Member, AnInboxWithATableTooLargeIsRefused) {
  attach::Subscribe s;
  s.mode = attach::Mode::kGroup;
  s.inbox = {.ring_log2 = 18, .arena_log2 = 12, .topics = 4};
  peer::set_text(s.filter, "u");
  second.say(s);
  settle();
  ASSERT_EQ(second.errors.size(), 1u) << node->show("lanes");
  EXPECT_EQ(static_cast<Errc>(second.errors[0].code), Errc::kTooBig);
  EXPECT_NE(std::string(second.errors[0].text).find("lane.max_arena"), std::string::npos);
}

}  // namespace
}  // namespace penstock
