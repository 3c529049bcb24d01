// A node that drains: nothing new begins, and what is published gets to its readers. By hand, on
// virtual time.
#include <gtest/gtest.h>

#include "tests/control/node/peer_rig.h"

namespace penstock {
namespace {

using test::Guest;
using test::HostilePeer;

class Drain : public test::PeerRig {
 protected:
  static constexpr uint32_t kTick = 600;  // rounds: a tick, and a little
  static constexpr uint64_t kLong = 3'600'000'000'000;

  void declare(Guest& g, attach::Kind kind = attach::Kind::kPublisher) {
    g.say(attach::Declare{.kind = kind, .geometry = HostilePeer::kLane, .name = {}});
    hear(g);
  }
  LaneWriter publish(Guest& g, attach::Kind kind = attach::Kind::kPublisher) {
    enter(g);
    declare(g, kind);
    g.say(attach::Mapped{.lane_id = g.lanes.at(0).id});
    add_topic(g, "t");
    LaneWriter lane(g.lanes[0].memory.data(), HostilePeer::kLane, nullptr);
    (void)lane.add_topic("t");
    return lane;
  }
  // A reader lets go of so many messages.
  void take(Guest& g, uint64_t position) {
    const attach::Join& j = g.joins.at(0);
    ReaderSlot& slot = reinterpret_cast<PositionTable*>(g.positions.data())->slots[j.slot];
    slot.shown.store(position - j.start);
    slot.position.store(position);
    slot.generation.store(j.generation);
  }
  void forward(bool take) {
    say(wish(1, "t"));
    settle(4);
    ASSERT_EQ(peer.asked.size(), 1u);
    if (take) peer.take(peer.asked[0]);
    peer::LaneReady y;
    y.alias = peer.asked[0].alias;
    y.epoch = 1;
    y.mirror = HostilePeer::kLane;
    say(y);
    settle(4);
  }
  // Three messages are in the inbox of `s` when the node begins to drain.
  void push_and_drain(Guest& p, Guest& s) {
    enter(s);
    subscribe(s, "t", attach::Mode::kGroup);
    LaneWriter lane = publish(p, attach::Kind::kPusher);
    settle(4);
    send(lane, 3);
    settle(8);
    hear(s);
    node->drain(now + kLong);
  }
  static void send(LaneWriter& lane, int count) {
    for (int i = 0; i < count; i++)
      ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  }
};

TEST_F(Drain, NothingNewBegins) {
  Guest inside;
  enter(inside);
  declare(inside);
  inside.say(attach::Mapped{.lane_id = inside.lanes.at(0).id});  // on its way when it begins
  node->drain(now + kLong);
  const auto refused = [&](Guest& g, size_t so_far) {
    hear(g);
    ASSERT_EQ(g.errors.size(), so_far);
    EXPECT_EQ(static_cast<Errc>(g.errors.back().code), Errc::kClosed);
    EXPECT_NE(std::string(g.errors.back().text).find("draining"), std::string::npos);
  };
  declare(inside);
  refused(inside, 1);
  subscribe(inside, "t");
  refused(inside, 2);
  add_topic(inside, "t");
  refused(inside, 3);
  EXPECT_EQ(inside.lanes.size(), 1u);
  Guest late;
  late.attach(*node, now);
  late.say(attach::Hello{});
  refused(late, 1);
}

TEST_F(Drain, WithNothingToDeliverItIsDoneAtOnce) {
  node->drain(now + kLong);
  settle(3 * kTick);
  EXPECT_TRUE(node->drained());
  EXPECT_NE(log.find("all that was published is delivered"), std::string::npos) << log;
}

TEST_F(Drain, WaitsForAReaderHereAndThePublisherIsTold) {
  Guest p, s;
  enter(s);
  subscribe(s, "t");
  LaneWriter lane = publish(p);
  hear(s);
  send(lane, 3);
  node->drain(now + kLong);
  settle(5 * kTick);
  EXPECT_FALSE(node->drained());
  EXPECT_EQ(show("lanes")[0]["closed"], "node stopped");
  take(s, 3);
  settle(3 * kTick);
  EXPECT_TRUE(node->drained());
  EXPECT_EQ(log.find("not delivered"), std::string::npos) << log;
}

TEST_F(Drain, WaitsForWhatIsOnItsWayToAPeer) {
  Guest g;
  LaneWriter lane = publish(g);
  forward(true);
  port_.faults.cut = true;  // nothing gets out
  send(lane, 3);
  node->drain(now + kLong);
  settle(5 * kTick);
  EXPECT_FALSE(node->drained()) << node->show("lanes");
  port_.faults.cut = false;
  for (int i = 0; i < 100 && !node->drained(); i++)
    settle(kTick);
  EXPECT_TRUE(node->drained()) << node->show("lanes");
  EXPECT_EQ(peer.taken(), 3u);
  EXPECT_EQ(log.find("not delivered"), std::string::npos) << log;
}

TEST_F(Drain, WaitsForWhatIsInAnInbox) {
  Guest p, s;
  push_and_drain(p, s);
  settle(5 * kTick);
  EXPECT_FALSE(node->drained()) << node->show("lanes");
  take(s, 3);
  settle(3 * kTick);
  EXPECT_TRUE(node->drained()) << node->show("lanes");
}

// It has let go of nothing, and the worker has not heard of its end when the node looks.
TEST_F(Drain, SurvivesAPullerThatLeaves) {
  Guest p, s;
  push_and_drain(p, s);
  settle(4);
  s.leave();
  for (int i = 0; i < 3; i++) {
    now += Node::kTickNs;
    node->poll(now);
  }
  EXPECT_FALSE(node->drained());
  settle(5 * kTick);
  EXPECT_TRUE(node->drained()) << node->show("lanes");
}

TEST_F(Drain, EndsWhenTimeIsUpAndSaysWhatIsNotDelivered) {
  Guest p, s;
  enter(s);
  subscribe(s, "t");
  LaneWriter lane = publish(p);
  forward(false);  // the peer never takes it
  send(lane, 2);
  node->drain(now + 10 * Node::kTickNs);
  settle(5 * kTick);
  EXPECT_FALSE(node->drained());
  settle(10 * kTick);
  EXPECT_TRUE(node->drained());
  EXPECT_NE(log.find("4 messages are not delivered: 2 for client1, 2 for node hostile"),
            std::string::npos)
      << log;
}

TEST_F(Drain, MayBeToldToEndSooner) {
  Guest p, s;
  enter(s);
  subscribe(s, "t");
  LaneWriter lane = publish(p);
  send(lane, 1);
  node->drain(now + kLong);
  node->drain(now + 2 * kLong);
  node->drain(now);
  settle(2 * kTick);
  EXPECT_TRUE(node->drained());
}

TEST_F(Drain, PeersAreToldThatAGroupHereTakesNoMore) {
  Guest s;
  enter(s);
  subscribe(s, "t", attach::Mode::kGroup);
  settle(4);
  ASSERT_EQ(peer.wishes.size(), 1u);
  node->drain(now + kLong);
  settle(4);
  EXPECT_EQ(peer.unwished, peer.wishes);
}

}  // namespace
}  // namespace penstock
