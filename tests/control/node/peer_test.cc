// A peer that says what no node would say, or more than a node may: played by hand over a true
// link, on virtual time.
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

#include "tests/control/node/peer_rig.h"
#include "tests/fuzz/messages.h"
#include "tests/support/fences.h"

namespace penstock {
namespace {

using test::Guest;
using test::HostilePeer;

using Peer = test::PeerRig;

TEST_F(Peer, MayNotRenameATopic) {
  say(topic(1, 0, "a"));
  settle(4);
  say(topic(1, 0, "b"));
  settle(4);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kInvalid);
  EXPECT_EQ(show("lanes")[0]["topic_names"], nlohmann::json{"a"});
}

TEST_F(Peer, CannotMoveTheCursorWithAName) {
  peer::LaneTopic m = topic(1, 0, "a");
  peer::set_text(m.publisher, "\x1b[2J");
  say(m);
  settle(4);
  Guest g;
  enter(g);
  attach::Subscribe s;
  peer::set_text(s.filter, "a");
  g.say(s);
  settle(2);
  while (g.hear()) {
  }
  EXPECT_STREQ(g.joins.at(0).publisher, "?[2J");
}

// Its mirrors are written by a worker, which has let go of them by then; a client's lane is not.
TEST_F(Peer, EndsItsMirrorsWithoutASystemCall) {
  Guest g;
  enter(g);
  for (const uint32_t alias : {1u, 2u, 3u, 4u})
    say(topic(alias, 0, "a"));
  g.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
  settle(8);
  while (g.hear()) {
  }
  ASSERT_EQ(show("lanes").size(), 5u);
  const int before = test::fences;
  for (const uint32_t alias : {1u, 2u, 3u, 4u})
    say(peer::LaneClose{.alias = alias, .epoch = 1});
  settle(8);
  EXPECT_EQ(show("lanes").size(), 1u);
  EXPECT_EQ(test::fences, before);
  g.leave();
  settle(8);
  EXPECT_TRUE(show("lanes").empty());
  EXPECT_EQ(test::fences, before + 2);
}

// Every message there is, in any order, more or less as it should be, beside a client that goes on.
TEST_F(Peer, WhoSaysAnythingHurtsNobody) {
  Guest g;
  enter(g);
  g.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
  settle(1);
  while (g.hear()) {
  }
  g.say(attach::Mapped{.lane_id = g.lanes.at(0).id});
  for (uint64_t seed = 1; seed <= 30; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 40; i++) {
      const uint64_t one_in = uint64_t{1} << (2 + random() % 8);
      test::PeerMessages::with(random(), [&](auto m) {
        for (std::byte& b : test::contents(m))
          if (random() % one_in == 0) b = static_cast<std::byte>(random() % 4);
        say(m);
      });
      if (i % 8 == 0) settle(1);
    }
    now += 1'000'000'000;  // four sessions a second are taken
    peer.begin_anew(now);
    const auto up = [&] { return peer.up() && show("links")[0]["state"] == "up"; };
    for (int i = 0; i < 10'000 && !up(); i++)
      settle(1);
    ASSERT_TRUE(up()) << log;
    settle(4);
  }
  // What it says sensibly is answered as ever, and so is the client.
  say(wish(7, "ok"));
  attach::AddTopic t;
  t.lane_id = g.lanes[0].id;
  peer::set_text(t.name, "ok");
  g.say(t);
  settle(40);
  const auto ok = [](const peer::LaneTopic& l) { return peer::text(l.name) == "ok"; };
  EXPECT_TRUE(std::ranges::any_of(peer.asked, ok)) << log;
  while (g.hear()) {
  }
  EXPECT_TRUE(g.errors.empty());
}

// Its port gives frames back after ten seconds.
class SlowPort : public Peer {
 protected:
  SlowPort() : Peer({.port = {.tx_ns = 10'000'000'000}}) {}
};

TEST_F(SlowPort, AClosedLaneWaitsForItsFramesWithoutWork) {
  Guest g;
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
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  peer.take(peer.asked[0]);
  peer::LaneReady ready;
  ready.alias = peer.asked[0].alias;
  ready.epoch = 1;
  ready.mirror = HostilePeer::kLane;
  say(ready);
  settle(4);
  LaneWriter lane(g.lanes[0].memory.data(), HostilePeer::kLane, nullptr);
  const std::vector<std::byte> bytes(2000);  // too many to be copied
  ASSERT_EQ(lane.send({}, bytes), Errc::kOk);
  settle(2000);  // some ticks
  g.say(attach::CloseLane{.lane_id = g.lanes[0].id});
  settle(8);
  ASSERT_EQ(show("lanes").size(), 1u) << "the port has a frame of it";
  for (int i = 0; i < 8; i++) {
    turn();
    EXPECT_EQ(node->poll(now), 0u);
  }
  EXPECT_FALSE(node->idle());
  now += 11'000'000'000;
  settle(2000);
  EXPECT_EQ(node->show("lanes"), "[]");
  EXPECT_TRUE(node->idle());
}

TEST_F(Peer, HasHalfOfThePlacesForMirrorsAndNoMore) {
  for (uint32_t alias = 1; alias <= 257; alias++) {
    say(topic(alias, 0, "a"));
    settle(1);
  }
  settle(4);
  EXPECT_EQ(show("lanes").size(), 256u);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(peer.refused[0].alias, 257u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kFull);
  EXPECT_NE(log.find("256 mirrors here, half of the 512"), std::string::npos) << log;
}

// As when it comes back with as many lanes as before: those of its last session are still ending.
TEST_F(Peer, WaitsForAPlaceThatIsAboutToBeFree) {
  for (uint32_t alias = 1; alias <= 256; alias++) {
    say(topic(alias, 0, "a"));
    settle(1);
  }
  settle(4);
  ASSERT_EQ(peer.ready.size(), 256u);
  peer::LaneClose close;
  close.alias = 1;
  close.epoch = 1;
  say(close);
  say(topic(257, 0, "a"));
  settle(8);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kWouldBlock);
  EXPECT_EQ(log.find("256 mirrors"), std::string::npos) << log;
  say(topic(257, 0, "a"));
  settle(8);
  EXPECT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(peer.ready.size(), 257u);
}

TEST_F(Peer, IsHeard64TimesATurn) {
  for (uint64_t key = 0; key < 100; key++)
    say(wish(key, "a"));
  for (int i = 0; i < 8; i++)
    turn();
  node->poll(now);
  for (int i = 0; i < 8; i++)
    turn();
  EXPECT_EQ(peer.acknowledged.size(), 64u);
  settle(8);
  EXPECT_EQ(peer.acknowledged.size(), 100u);
}

TEST_F(Peer, WhoWantsTooManyFiltersIsCutOff) {
  for (uint64_t key = 0; key < 4096; key++) {
    say(wish(key, "a"));
    if (key % 32 == 31) settle(1);
  }
  settle(4);
  EXPECT_EQ(show("links")[0]["state"], "up") << log;
  EXPECT_EQ(peer.acknowledged.size(), 4096u);
  say(wish(0, "b"));  // in place of another
  settle(4);
  EXPECT_EQ(show("links")[0]["state"], "up") << log;
  say(wish(4096, "a"));
  settle(20);
  EXPECT_NE(show("links")[0]["state"], "up");
  EXPECT_NE(log.find("more than 4096 filters"), std::string::npos) << log;
}

// The node's link has room for the control channel and one lane each way.
class FullLink : public Peer {
 protected:
  FullLink() : Peer({.port = {}, .workers = 1, .max_lanes = 2}) {}
};

TEST_F(FullLink, AForwardWithoutRoomEndsAndHoldsNobodyBack) {
  Guest g;
  enter(g);
  std::vector<LaneWriter> lanes;
  for (size_t i = 0; i < 2; i++) {
    g.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
    settle(1);
    while (g.hear()) {
    }
    g.say(attach::Mapped{.lane_id = g.lanes.at(i).id});
    attach::AddTopic t;
    t.lane_id = g.lanes[i].id;
    peer::set_text(t.name, "t");
    g.say(t);
    settle(1);
    lanes.emplace_back(g.lanes[i].memory.data(), HostilePeer::kLane, nullptr);
  }
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 2u);
  for (LaneWriter& lane : lanes)
    ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  for (const peer::LaneTopic& asked : peer.asked) {
    peer.take(asked);
    peer::LaneReady ready;
    ready.alias = asked.alias;
    ready.epoch = 1;
    ready.mirror = HostilePeer::kLane;
    say(ready);
  }
  settle(20);
  EXPECT_EQ(peer.acknowledged, std::vector<uint64_t>{1});
  const auto rows = show("lanes");
  EXPECT_EQ(rows[0]["readers"][0]["delivered"], 1) << rows[0];
  ASSERT_EQ(rows[1]["readers"].size(), 0u) << rows[1];
  EXPECT_EQ(rows[1]["left"]["dropped"]["refused"], 1) << rows[1];
  EXPECT_NE(log.find("cannot be forwarded to node 2: table full"), std::string::npos) << log;
}

TEST_F(FullLink, AMirrorWithoutRoomIsRefused) {
  say(topic(1, 0, "a"));
  say(topic(2, 0, "a"));
  settle(8);
  ASSERT_EQ(peer.ready.size(), 1u);
  EXPECT_EQ(peer.ready[0].alias, 1u);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(peer.refused[0].alias, 2u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kFull);
  EXPECT_EQ(show("lanes").size(), 1u);
}

// What comes for an alias that was in use is acknowledged and forgotten.
TEST_F(Peer, MayNotUseAnAliasAgainInItsEpoch) {
  say(topic(1, 0, "a"));
  peer::LaneClose close;
  close.alias = 1;
  close.epoch = 1;
  say(close);
  settle(8);
  say(topic(1, 0, "a"));
  settle(8);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kBusy);
  EXPECT_EQ(node->show("lanes"), "[]");
}

// It closes a lane and uses the alias for the next before a worker has let go of the first.
TEST_F(Peer, MayUseAnAliasAgainInALaterEpoch) {
  say(topic(1, 0, "a"));
  settle(8);
  ASSERT_EQ(peer.ready.size(), 1u);
  peer::LaneClose close;
  close.alias = 1;
  close.epoch = 1;
  say(close);
  auto next = topic(1, 0, "b");
  next.epoch = 2;
  next.lane_id = 77;
  say(next);
  settle(8);
  EXPECT_TRUE(peer.refused.empty());
  ASSERT_EQ(peer.ready.size(), 2u);
  EXPECT_EQ(peer.ready[1].epoch, 2u);
  const auto rows = show("lanes");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["topic_names"], nlohmann::json{"b"});
  EXPECT_EQ(rows[0]["closed"], "");
}

}  // namespace
}  // namespace penstock
