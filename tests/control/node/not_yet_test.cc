// What one side asks before the other is ready for it is put off, not refused.
#include <gtest/gtest.h>

#include "tests/control/node/peer_rig.h"

namespace penstock {
namespace {

class NotYet : public test::PeerRig {
 protected:
  explicit NotYet(const test::PeerRigConfig& c = {}) : PeerRig(c) {}

  // A client with a lane that has topic "t".
  void publisher(test::Guest& g) {
    enter(g);
    g.say(attach::Declare{.geometry = test::HostilePeer::kLane, .name = {}});
    settle(1);
    while (g.hear()) {
    }
    g.say(attach::Mapped{.lane_id = g.lanes.at(0).id});
    add_topic(g, 0, "t");
  }
  void add_topic(test::Guest& g, uint32_t row, const char* name) {
    attach::AddTopic t;
    t.lane_id = g.lanes[0].id;
    t.topic = row;
    peer::set_text(t.name, name);
    g.say(t);
    settle(1);
  }
  template <class T>
  T answer(const peer::LaneTopic& to) {
    T m;
    m.path = to.path;
    m.alias = to.alias;
    m.epoch = to.epoch;
    m.topic = to.topic;
    return m;
  }
  // The peer is ready for the lane that it was asked to take.
  void take(size_t i) {
    ASSERT_EQ(peer.asked.size(), i + 1) << log;
    peer.take(peer.asked[i]);
    auto ready = answer<peer::LaneReady>(peer.asked[i]);
    ready.mirror = test::HostilePeer::kLane;
    say(ready);
    settle(8);
  }
};

class TwoPaths : public NotYet {
 protected:
  TwoPaths() : NotYet({.port = {}, .workers = 2}) {}
};

// The peer's side of a path can be up a while before ours: its answer to us may be lost.
TEST_F(TwoPaths, ALaneOverAPathThatIsNotUpHereIsPutOff) {
  auto offer = topic(1, 0, "a");
  offer.path = 1;
  say(offer);
  settle(4);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kWouldBlock);
  answer_path_1();
  offer.session = session_1;
  say(offer);
  settle(8);
  EXPECT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(peer.ready.size(), 1u);
  EXPECT_EQ(show("lanes").size(), 1u);
}

TEST_F(TwoPaths, ALaneOverAPathThatIsNoneIsRefusedForGood) {
  auto offer = topic(1, 0, "a");
  offer.path = 2;
  say(offer);
  settle(4);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kInvalid);
}

// The group holds what was pushed, and the lane cannot end before somebody has it.
TEST_F(TwoPaths, WhatAGroupHoldsOfAClosedLaneIsOfferedWhenThePathIsBack) {
  answer_path_1();
  std::string filter = "t";  // of a group on the worker of path 1
  while (std::hash<std::string_view>{}(filter) % 2 != 1)
    filter += ".#";
  auto group = wish(1, filter.c_str());
  group.mode = attach::Mode::kGroup;
  say(group);
  settle(8);
  test::Guest g;
  publisher(g);
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  ASSERT_EQ(lane.send({}, std::as_bytes(std::span("work"))), Errc::kOk);
  settle(8);
  ASSERT_EQ(peer.asked.size(), 1u);
  EXPECT_EQ(peer.asked[0].path, 1u);
  g.say(attach::CloseLane{.lane_id = g.lanes[0].id});
  settle(8);
  far_1_->link.close(LinkClose::kStopped, now);
  settle(8);
  ASSERT_NE(show("links")[1]["state"], "up");
  answer_path_1();
  settle(8);
  EXPECT_EQ(peer.asked.size(), 2u) << log << show("lanes").dump();
}

// It has or will have a mirror, which nobody else would close before the session ends.
TEST_F(NotYet, NobodyWaitsForALaneThatEnded) {
  test::Guest g;
  publisher(g);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  ASSERT_TRUE(peer.acknowledged.empty());
  g.leave();
  settle(8);
  EXPECT_EQ(peer.acknowledged, std::vector<uint64_t>{1});
}

TEST_F(NotYet, APeerHearsOfTheEndOfALaneThatItWasNotReadyFor) {
  test::Guest g;
  publisher(g);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  peer::SubDel enough;
  enough.key = 1;
  say(enough);
  settle(8);
  ASSERT_EQ(peer.closed.size(), 1u);
  EXPECT_EQ(peer.closed[0].alias, peer.asked[0].alias);
  EXPECT_EQ(peer.closed[0].messages, 0u);
}

TEST_F(TwoPaths, APeerHearsOfTheEndOfALaneWhosePathIsDownHereOnly) {
  answer_path_1();
  test::Guest g;
  publisher(g);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  ASSERT_EQ(peer.asked[0].path, 1u);
  far_1_->link.close(LinkClose::kStopped, now);
  settle(8);
  ASSERT_EQ(show("links")[1]["state"] == "up", false);
  ASSERT_EQ(peer.closed.size(), 1u);
  EXPECT_EQ(peer.closed[0].path, 1u);
  EXPECT_EQ(peer.closed[0].alias, peer.asked[0].alias);
  EXPECT_EQ(static_cast<CloseReason>(peer.closed[0].reason), CloseReason::kPeerDown)
      << "its readers are to be told that there may have been more";
}

TEST_F(NotYet, APeerThatPutsALaneOffIsAskedAgain) {
  test::Guest g;
  publisher(g);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  const auto first = peer.asked[0];
  auto later = answer<peer::LaneRefused>(first);
  later.code = static_cast<uint32_t>(Errc::kWouldBlock);
  say(later);
  settle(1000);  // some ticks
  ASSERT_EQ(peer.asked.size(), 2u) << "once for each answer";
  EXPECT_EQ(peer.asked[1].alias, first.alias);
  EXPECT_TRUE(peer.acknowledged.empty()) << "who waits for the lane waits on";
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  peer.take(first);
  auto ready = answer<peer::LaneReady>(first);
  ready.mirror = test::HostilePeer::kLane;
  say(ready);
  settle(8);
  EXPECT_EQ(peer.acknowledged, std::vector<uint64_t>{1});
  const auto reader = show("lanes")[0]["readers"][0];
  EXPECT_EQ(reader["delivered"], 1) << reader.dump();
  EXPECT_EQ(reader["dropped"].size(), 0u) << reader.dump();
}

// It has missed other things in an earlier life, which are nobody's any more.
TEST_F(TwoPaths, APeerIsToldWhatItMissesInItsNewLifeUntilThePathIsUp) {
  answer_path_1();
  test::Guest g;
  publisher(g);
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  ASSERT_EQ(peer.asked[0].path, 1u);
  far_1_->link.close(LinkClose::kStopped, now);
  settle(8);
  peer.begin_anew(now, 2);
  for (int i = 0; i < 500 && !peer.up(); i++)
    settle(1);
  settle(50);
  say(wish(1, "t"));
  settle(50);
  ASSERT_EQ(peer.acknowledged, std::vector<uint64_t>{1}) << log << show("links");
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  answer_path_1(2);
  settle(8);
  ASSERT_EQ(peer.asked.size(), 1u) << log;
  auto ready = answer<peer::LaneReady>(peer.asked[0]);
  ready.mirror = test::HostilePeer::kLane;
  say(ready);
  settle(8);
  EXPECT_EQ(show("lanes")[0]["readers"][0]["link"]["sent"], 1) << "the notice" << show("lanes");
}

// It wanted the topic, was cut off, and comes back without that wish.
TEST_F(NotYet, APeerMissesNothingThatItNoLongerWants) {
  test::Guest g;
  publisher(g);
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  for (const bool named : {false, true}) {
    say(wish(1, "t"));
    settle(4);
    take(0);
    peer.begin_anew(now, 1);
    for (int i = 0; i < 500 && !peer.up(); i++)
      settle(1);
    settle(50);
    ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
    if (named) say(wish(1, "t"));
    say(peer::SubAll{});
    settle(4);
    if (!named) say(wish(1, "t"));
    settle(50);
    take(0);
    const auto row = show("lanes")[0]["readers"][0]["link"];
    EXPECT_EQ(row["sent"], named ? 1 : 0) << "a notice: " << row;
    peer.begin_anew(now, 1);
    for (int i = 0; i < 500 && !peer.up(); i++)
      settle(1);
    settle(50);
    say(peer::SubAll{});
    settle(50);
  }
}

// What it missed it is told, though the publisher leaves before it is ready for the lane.
TEST_F(NotYet, APeerHearsWhatItMissedOfALaneThatHasEnded) {
  test::Guest g;
  publisher(g);
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  say(wish(1, "t"));
  settle(4);
  take(0);
  peer.begin_anew(now, 1);
  for (int i = 0; i < 500 && !peer.up(); i++)
    settle(1);
  settle(50);
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  say(wish(1, "t"));
  say(peer::SubAll{});
  settle(50);
  const size_t closed = peer.closed.size();
  g.leave();
  settle(1000);  // some ticks
  EXPECT_EQ(peer.closed.size(), closed);
  take(0);
  settle(1000);
  ASSERT_EQ(peer.closed.size(), closed + 1);
  EXPECT_EQ(peer.closed.back().messages, 1u) << "the notice";
  EXPECT_EQ(show("lanes").size(), 0u);
}

// On path 1 its new life is up before anything is known of the end of the old one on path 0.
TEST_F(TwoPaths, WhatAnEarlierLifeWantedIsNotOfferedToTheNext) {
  answer_path_1();
  test::Guest g;
  publisher(g);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  far_1_->link.close(LinkClose::kStopped, now);
  settle(8);
  peer.asked.clear();
  answer_path_1(2);
  settle(50);
  EXPECT_EQ(peer.asked.size(), 0u) << log;
  for (const auto& row : show("lanes"))
    EXPECT_EQ(row["readers"].size(), 0u) << row;
}

// The worker still sends what the last wish was for when the next one comes.
TEST_F(NotYet, WhatIsWantedAgainAtOnceDoesNotComeTwice) {
  test::Guest g;
  publisher(g);
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  take(0);
  peer::SubDel enough;
  enough.key = 1;
  say(enough);
  say(wish(2, "t"));
  turn();
  ASSERT_NE(node->poll(now), 0u);  // hears both
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  reinterpret_cast<BellPage*>(g.bells.data())->worker[0].bits[0].set_bits(~uint64_t{0});
  settle(8);
  ASSERT_EQ(peer.asked.size(), 2u) << log;
  EXPECT_EQ(peer.acknowledged, std::vector<uint64_t>{1}) << "it is not ready for the lane";
  take(1);
  EXPECT_EQ(peer.acknowledged, (std::vector<uint64_t>{1, 2}));
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  settle(8);
  const auto row = show("lanes")[0];
  EXPECT_EQ(row["readers"][0]["delivered"], 1) << "the first was the last forward's: " << row;
}

// Its answer, that it no longer wants the topic and that it does again come at once, while the lane
// goes on with another topic.
TEST_F(NotYet, ATopicThatIsWantedAgainIsNotReadyBecauseItWasBefore) {
  test::Guest g;
  publisher(g);
  add_topic(g, 1, "u");
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  const auto ready = [&](const peer::LaneTopic& asked) {
    auto m = answer<peer::LaneReady>(asked);
    m.mirror = test::HostilePeer::kLane;
    say(m);
  };
  say(wish(1, "t"));
  say(wish(2, "u"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 2u);
  peer.take(peer.asked[0]);
  const bool first_is_t = std::string_view(peer.asked[0].name) == "t";
  ready(peer.asked[first_is_t ? 1 : 0]);
  settle(8);
  ready(peer.asked[first_is_t ? 0 : 1]);
  peer::SubDel enough;
  enough.key = 1;
  say(enough);
  say(wish(3, "t"));
  turn();
  ASSERT_NE(node->poll(now), 0u);  // hears all three
  settle(8);
  ASSERT_EQ(peer.asked.size(), 3u) << log;
  EXPECT_EQ(peer.acknowledged, std::vector<uint64_t>{2}) << "messages of it are skipped now";
  ready(peer.asked[2]);
  settle(8);
  EXPECT_EQ(peer.acknowledged, (std::vector<uint64_t>{2, 3}));
  ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
  settle(8);
  EXPECT_EQ(show("lanes")[0]["readers"][0]["delivered"], 1);
}

// Its lane is closed before the peer has answered for the first topic: the second, which holds what
// comes before that, is never asked for.
TEST_F(NotYet, ATopicThatIsWantedAfterTheLaneClosedHoldsNothingUp) {
  test::Guest g;
  publisher(g);
  add_topic(g, 1, "u");
  say(wish(1, "u"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  LaneWriter lane(g.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  for (const uint32_t topic : {0, 1})
    ASSERT_EQ(lane.send({.topic = topic}, std::vector<std::byte>(8)), Errc::kOk);
  g.say(attach::CloseLane{.lane_id = g.lanes[0].id});
  settle(1);
  say(wish(2, "t"));
  settle(4);
  EXPECT_EQ(peer.acknowledged, std::vector<uint64_t>{2}) << "nothing of it is published any more";
  take(0);
  settle(32);
  EXPECT_EQ(peer.asked.size(), 1u);
  EXPECT_EQ(peer.acknowledged, (std::vector<uint64_t>{2, 1}));
  const auto row = show("lanes")[0]["readers"][0];
  EXPECT_EQ(row["delivered"], 2) << row;
  EXPECT_EQ(row["link"]["skipped"], 1) << row;
}

}  // namespace
}  // namespace penstock
