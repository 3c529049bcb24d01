// Sessions that end and begin faster than the control thread looks.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace penstock
