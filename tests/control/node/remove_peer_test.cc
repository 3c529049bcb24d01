// A peer that is removed while traffic flows, played by hand on virtual time.
#include <gtest/gtest.h>

#include "tests/control/node/peer_rig.h"

namespace penstock {
namespace {

using test::Guest;
using test::HostilePeer;

class RemovePeer : public test::PeerRig {
 protected:
  static constexpr uint32_t kTick = 600;  // rounds: a tick, and a little

  void remove() {
    node->remove_peer(HostilePeer::kSelf, [this] { gone++; });
  }
  void add(uint64_t epoch) {
    std::vector<PathRecord> paths(1);
    paths[0].path = HostilePeer::path(port_, HostilePeer::kNode, 100 + ++added);
    paths[0].net = &net_port_;
    node->add_peer(HostilePeer::kSelf, "hostile", std::move(paths), epoch);
  }
  std::string state() { return show("links").empty() ? "none" : show("links")[0]["state"]; }
  bool up() {
    for (int i = 0; i < 20'000 && state() != "up"; i++)
      settle(1);
    settle(8);
    return state() == "up";
  }
  // A publisher of topic t.
  LaneWriter publish(Guest& g) {
    enter(g);
    g.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
    settle(1);
    while (g.hear()) {
    }
    g.say(attach::Mapped{.lane_id = g.lanes.at(0).id});
    attach::AddTopic t;
    t.lane_id = g.lanes[0].id;
    peer::set_text(t.name, "t");
    g.say(t);
    settle(1);
    LaneWriter lane(g.lanes[0].memory.data(), HostilePeer::kLane, nullptr);
    (void)lane.add_topic("t");
    return lane;
  }
  void ready(bool take) {
    ASSERT_EQ(peer.asked.size(), 1u);
    if (take) peer.take(peer.asked[0]);
    peer::LaneReady y;
    y.alias = peer.asked[0].alias;
    y.epoch = 1;
    y.mirror = HostilePeer::kLane;
    say(y);
    settle(4);
  }

  int gone = 0;
  uint64_t added = 0;
};

TEST_F(RemovePeer, ItsLanesAreGivenUpAndCounted) {
  Guest g;
  LaneWriter lane = publish(g);
  say(wish(1, "t"));
  settle(4);
  ready(false);  // it never takes what comes
  for (int i = 0; i < 3; i++)
    ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  settle(4);
  ASSERT_EQ(show("lanes")[0]["readers"].size(), 1u);
  remove();
  settle(8);
  const auto rows = show("lanes");
  EXPECT_EQ(rows[0]["readers"].size(), 0u) << rows;
  EXPECT_EQ(rows[0]["left"]["dropped"]["peer_down"], 3) << rows;
  EXPECT_EQ(rows[0]["left"]["sent"], 3) << rows;
}

TEST_F(RemovePeer, ItIsToldAndNothingOfItStays) {
  say(wish(1, "t"));
  settle(4);
  ASSERT_TRUE(peer.up());
  remove();
  settle(8);
  EXPECT_FALSE(peer.up()) << "it was told";
  EXPECT_EQ(gone, 0) << "its link is still to say so";
  EXPECT_TRUE(node->has_peer(HostilePeer::kSelf));
  settle(2 * kTick);
  EXPECT_EQ(gone, 1);
  EXPECT_FALSE(node->has_peer(HostilePeer::kSelf));
  EXPECT_EQ(node->show("links"), "[]");
  EXPECT_TRUE(node->idle());
  remove();
  settle(2 * kTick);
  EXPECT_EQ(gone, 1) << "there was nobody to remove";
  EXPECT_FALSE(peer.up()) << "it calls, and is not answered";
}

TEST_F(RemovePeer, AMirrorClosesAfterWhatWasWholeAndItsReaderTakesIt) {
  Guest g;
  enter(g);
  attach::Subscribe s;
  peer::set_text(s.filter, "a");
  g.say(s);
  settle(2);
  say(topic(1, 0, "a"));
  settle(4);
  peer.open(1);
  peer.publish(1, 0, 100);
  peer.publish(1, 0, 100);
  settle(4);
  while (g.hear()) {
  }
  ASSERT_EQ(g.joins.size(), 1u);
  remove();
  settle(3 * kTick);
  while (g.hear()) {
  }
  EXPECT_EQ(gone, 1) << "who reads a mirror does not keep its links";
  ASSERT_EQ(g.leaves.size(), 1u) << "it is told that the lane ends";
  auto rows = show("lanes");
  ASSERT_EQ(rows.size(), 1u) << "it has not read it yet";
  EXPECT_EQ(rows[0]["closed"], "peer down") << rows;
  EXPECT_EQ(rows[0]["readers"][0]["in_flight"], 2) << rows;
  const attach::Join& j = g.joins[0];
  ReaderSlot& slot = reinterpret_cast<PositionTable*>(g.positions.data())->slots[j.slot];
  slot.shown.store(2);
  slot.position.store(2);
  slot.generation.store(j.generation);
  settle(1);
  g.say(attach::Released{.lane_id = j.lane_id, .slot = j.slot, .generation = j.generation});
  settle(2 * kTick);
  EXPECT_EQ(node->show("lanes"), "[]");
  EXPECT_EQ(show("drops")["peer_down"], 0);
}

TEST_F(RemovePeer, ASubscriberDoesNotWaitForItsAnswer) {
  Guest g;
  enter(g);
  attach::Subscribe s;
  peer::set_text(s.filter, "x");
  g.say(s);
  settle(4);  // the peer says nothing
  while (g.hear()) {
  }
  ASSERT_TRUE(g.subscriptions.empty());
  remove();
  settle(4);
  while (g.hear()) {
  }
  EXPECT_EQ(g.subscriptions.size(), 1u);
}

TEST_F(RemovePeer, ALaterLifeMayHaveItsNumberAndAnEarlierMayNot) {
  remove();
  settle(2 * kTick);
  ASSERT_EQ(gone, 1);
  add(2);
  for (int i = 0; i < 20'000 && !show("links")[0]["drops"].contains("stale_epoch"); i++)
    settle(1);
  EXPECT_TRUE(show("links")[0]["drops"].contains("stale_epoch")) << "epoch 1 calls";
  EXPECT_NE(state(), "up");
  peer.begin_anew(now, 2);
  ASSERT_TRUE(up()) << log;
  EXPECT_EQ(show("links")[0]["peer_epoch"], 2);
  say(topic(1, 0, "a"));
  settle(4);
  EXPECT_EQ(peer.ready.size(), 1u);
}

TEST_F(RemovePeer, WhoComesBackInTheSameLifeLearnsThatItMissedSome) {
  Guest g;
  LaneWriter lane = publish(g);
  say(wish(1, "t"));
  settle(4);
  ready(true);
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  settle(20);
  ASSERT_EQ(show("lanes")[0]["readers"][0]["delivered"], 1);
  remove();
  settle(2 * kTick);
  for (int i = 0; i < 3; i++)
    ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  add(1);
  ASSERT_TRUE(up()) << log;
  say(wish(1, "t"));
  settle(4);
  ready(true);
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  settle(20);
  EXPECT_EQ(peer.gaps(), 1u) << node->show("lanes");
  EXPECT_EQ(show("lanes")[0]["readers"][0]["delivered"], 1) << node->show("lanes");
}

TEST_F(RemovePeer, AgainAndAgainCostsNothingThatStays) {
  const auto taken = [this] { return show("node")["lanes"]; };
  for (int round = 0; round < 20; round++) {
    say(wish(1, "t"));
    say(topic(1, 0, "a"));
    settle(4);
    remove();
    settle(2 * kTick);
    ASSERT_EQ(gone, round + 1);
    ASSERT_EQ(taken(), 0) << node->show("lanes");
    add(1);
    ASSERT_TRUE(up()) << "round " << round << log;
  }
}

}  // namespace
}  // namespace penstock
