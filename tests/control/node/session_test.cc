// Sessions that end and begin faster than the control thread looks.
#include <array>
#include <gtest/gtest.h>
#include <set>

#include "tests/control/node/peer_rig.h"

namespace penstock {
namespace {

class Sessions : public test::PeerRig {
 protected:
  // The peer begins anew; the control thread does not look. False: the node does not let it.
  bool begin_anew() {
    now += 300'000'000;  // no faster than a link takes sessions
    const uint64_t before = sessions();
    peer.begin_anew(now);
    for (int i = 0; i < 2000 && !(link->up() && sessions() != before); i++)
      turn();
    return sessions() != before;
  }
  uint64_t sessions() const { return link->stats().sessions.read(); }
  bool heard() {
    const size_t before = peer.acknowledged.size();
    say(wish(7, "a"));
    settle(20);
    return peer.acknowledged.size() > before;
  }
};

// Hundreds of sessions before control looks: it misses none of what they were.
TEST_F(Sessions, TheLastNoticeSaysWhatTheLinkIs) {
  while (sessions() < 300 && begin_anew()) {
  }
  peer.hang_up(now);
  std::vector<LinkEvent::Kind> kinds;
  for (int quiet = 0; quiet < 100; quiet++) {
    turn();
    for (LinkNotice n; net_port_.next_notice(n); quiet = 0)
      if (n.event.kind != LinkEvent::kRefused) kinds.push_back(n.event.kind);
  }
  ASSERT_GT(kinds.size(), 100u);
  for (size_t i = 0; i < kinds.size(); i++)
    ASSERT_EQ(kinds[i], i % 2 == 0 ? LinkEvent::kDown : LinkEvent::kUp) << i;
  EXPECT_EQ(kinds.back() == LinkEvent::kUp, link->up());
}

// Should the end of a session ever get lost, its control channel must not outlive its memory.
TEST_F(Sessions, ASessionUponASessionEndsTheOneBefore) {
  ASSERT_TRUE(begin_anew());
  LinkNotice lost;
  ASSERT_TRUE(net_port_.next_notice(lost));
  ASSERT_EQ(lost.event.kind, LinkEvent::kDown);
  settle(8);
  EXPECT_NE(log.find("is down on path 0: it began anew"), std::string::npos) << log;
  EXPECT_TRUE(heard());
}

// Both sessions are known by the time that the first is acted upon.
TEST_F(Sessions, WhatWasMeantForOneThatIsOverDoesNotReachTheNext) {
  ASSERT_TRUE(begin_anew());
  ASSERT_TRUE(begin_anew());
  settle(8);
  EXPECT_TRUE(heard());
}

// The peer speaks first: what it says before the node's channel is there is not lost.
TEST_F(Sessions, WhatComesBeforeTheChannelIsKept) {
  ASSERT_TRUE(begin_anew());
  ASSERT_TRUE(begin_anew());
  node->poll(now);  // has sent its errands, of which none ran
  say(wish(1, "a"));
  settle(400);
  EXPECT_EQ(peer.acknowledged, std::vector<uint64_t>{1});
}

class TwoPathSessions : public test::PeerRig {
 protected:
  TwoPathSessions() : PeerRig({.port = {}, .workers = 2}) {}
  std::string state_1() { return show("links")[1]["state"]; }
};

// The node has lost the connection of path 1 and holds on to the session. The other side has lost
// that, too, and is in the next one already: a mirror made in the one before would end with it, and
// who sends to it would wait for ever.
TEST_F(TwoPathSessions, ALaneForASessionThatHasNotBegunHereIsPutOff) {
  answer_path_1();
  const uint64_t before = session_1;
  SimPort& far = far_sim_port_1();
  far.faults.swallow_above = 42;  // all but ARP: the node knows where to call, and so does not now
  for (int i = 0; i < 150 && state_1() == "up"; i++) {
    now += 50'000'000;
    settle(1);
  }
  ASSERT_EQ(state_1(), "reconnecting") << log;
  settle(2);  // the node has just called, in vain: the next call is the other side's
  far.faults.swallow_above = 0;
  up_1 = [&] { far.faults.cut = true; };
  begin_path_1_anew();
  for (int i = 0; i < 5000 && session_1 == before; i++)
    settle(1);
  up_1 = nullptr;
  ASSERT_NE(session_1, before);
  auto offer = topic(1, 0, "a");
  offer.path = 1;
  offer.session = session_1;
  say(offer);
  settle(8);
  ASSERT_EQ(state_1(), "reconnecting");
  far.faults.cut = false;
  for (int i = 0; i < 50'000 && state_1() != "up"; i++)
    settle(1);
  settle(8);
  ASSERT_EQ(state_1(), "up");
  EXPECT_TRUE(peer.ready.empty());
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kWouldBlock);
  say(offer);
  settle(8);
  EXPECT_EQ(peer.ready.size(), 1u);
  EXPECT_EQ(show("lanes").size(), 1u);
}

// And so each says for which session a lane is meant.
TEST_F(TwoPathSessions, ALaneIsOfferedForTheSessionOfItsPath) {
  answer_path_1();
  const uint64_t before = session_1;
  begin_path_1_anew();
  for (int i = 0; i < 50'000 && (session_1 == before || state_1() != "up"); i++)
    settle(1);
  say(wish(1, "t"));
  std::vector<test::Guest> guests(8);
  for (test::Guest& g : guests) {  // their lanes are spread over both paths
    enter(g);
    g.say(attach::Declare{.geometry = test::HostilePeer::kLane, .name = {}});
    hear(g);
    g.say(attach::Mapped{.lane_id = g.lanes.at(0).id});
    add_topic(g, "t");
  }
  settle(8);
  ASSERT_EQ(peer.asked.size(), guests.size());
  std::array<size_t, 2> asked{};
  for (const peer::LaneTopic& t : peer.asked) {
    asked.at(t.path)++;
    EXPECT_EQ(t.session, t.path == 0 ? peer.session() : session_1);
  }
  EXPECT_NE(asked[0], 0u);
  EXPECT_NE(asked[1], 0u);
}

// The node is called for RDMA, as its id is the higher.
class RdmaSessions : public test::PeerRig {
 protected:
  RdmaSessions() : PeerRig({.port = {}, .workers = 1, .node = 2, .devices = 2}) {}
  void call(uint64_t session, uint32_t life, uint32_t rail = 0) {
    SimFabric& device = fabrics.add();
    ends_.push_back(std::move(*device.create_endpoint()));
    say(peer::RdmaCall{.end = {.rail = rail,
                               .life = life,
                               .session = session,
                               .window = 8,
                               .landing_bytes = sizeof(Landing),
                               .address = ends_.back()->address()}});
  }
  std::vector<uint32_t> answered() {
    settle(200);
    std::vector<uint32_t> lives;
    for (const peer::RdmaEndpoint& e : peer.rdma)
      lives.push_back(e.life);
    return lives;
  }

 private:
  std::vector<std::unique_ptr<Endpoint>> ends_;
};

// It may be told of one by way of path 0 before it knows that the session of the path has ended: an
// end of it made then would be thrown away with that, and the caller put to nobody.
TEST_F(RdmaSessions, ACallWaitsForTheSessionThatItIsMeantFor) {
  call(peer.session() + 1, 1);
  EXPECT_EQ(answered(), std::vector<uint32_t>{});
  call(peer.session(), 2);
  EXPECT_EQ(answered(), std::vector<uint32_t>{2});
}

// The caller did not hear the answer in time. It has nothing to say of what landed, as it never
// joined: the next one begins without.
TEST_F(RdmaSessions, WhoCallsAnewNeverJoinedTheOneBefore) {
  call(peer.session(), 1);
  settle(200);
  call(peer.session(), 2);
  EXPECT_EQ(answered(), (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(show("links")[0]["state"], "up");
}

// Whatever comes first of all that a session begins with.
TEST_F(RdmaSessions, EachRailIsOfferedEachMirror) {
  call(peer.session(), 1, 0);
  say(topic(1, 0, "t"));
  call(peer.session(), 1, 1);
  settle(200);
  std::set<uint32_t> rails;
  for (const peer::RdmaMirror& m : peer.rdma_mirrors)
    rails.insert(m.rail);
  EXPECT_EQ(rails, (std::set<uint32_t>{0, 1}));
}

class RdmaCaller : public test::PeerRig {
 protected:
  RdmaCaller() : PeerRig({.port = {}, .workers = 1, .devices = 1}) {}
};

// The answer came too late, or this end cannot join: the other is not to wait for what landed here.
TEST_F(RdmaCaller, WhoAnswersAConnectionThatWasGivenUpIsTold) {
  say(peer::RdmaAnswer{.end = {.life = 77, .session = peer.session()}});
  settle(8);
  ASSERT_EQ(peer.rdma_ended.size(), 1u);
  EXPECT_EQ(peer.rdma_ended[0].life, 77u);
  EXPECT_EQ(peer.rdma_ended[0].taken, 0u);
}

}  // namespace
}  // namespace penstock
