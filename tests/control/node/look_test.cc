// What the node raises and clears by looking around, on virtual time.
#include <fmt/format.h>

#include "tests/control/node/peer_rig.h"
#include "tests/control/node/played_by_hand.h"

namespace penstock {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kFull = kLane.ring_size();

// "+subject" for a raise, "-subject" for a clear.
std::vector<std::string> changes(const std::vector<Event>& events, EventName name) {
  std::vector<std::string> all;
  for (const Event& e : events)
    if (e.name == name) all.push_back((e.change == Change::kRaised ? "+" : "-") + e.subject);
  return all;
}

using Texts = std::vector<std::string>;

struct LookAround : PlayedByHand {
  void look(uint64_t seconds) {
    for (uint64_t i = 0; i < seconds; i++) {
      for (const uint64_t end = now + kSecond; now < end;)
        settle();
      node->look_around(now);
    }
  }
  Texts seen(EventName name) const { return changes(events, name); }
};

TEST_F(LookAround, AReaderThatHoldsItsPublisherBackIsSlowUntilItGoesOn) {
  publish(kFull - 1);
  look(5);
  EXPECT_EQ(seen(EventName::kSlowReader).size(), 0u) << log;
  publish(kFull);
  no_room_at(kFull);
  look(5);
  ASSERT_EQ(seen(EventName::kSlowReader).size(), 1u) << log;
  EXPECT_EQ(seen(EventName::kSlowReader)[0][0], '+');
  slot->position.store(1);
  settle();
  node->look_around(now);
  ASSERT_EQ(seen(EventName::kSlowReader).size(), 2u) << log;
  EXPECT_EQ(seen(EventName::kSlowReader)[1][0], '-');
  look(3);  // full again, and nothing moves
  EXPECT_EQ(seen(EventName::kSlowReader).size(), 3u) << log;
  subscriber.leave();
  look(1);
  const Texts all = seen(EventName::kSlowReader);
  ASSERT_EQ(all.size(), 4u) << log;
  EXPECT_EQ(all[3], "-" + all[2].substr(1));
}

TEST_F(LookAround, MessagesThatAreDroppedAreSaidOnceUntilItIsOver) {
  look(3);
  EXPECT_EQ(seen(EventName::kDropsStarted), Texts()) << log;
  publish(4);
  slot->malformed.store(1);
  slot->position.store(4);
  look(1);
  slot->malformed.store(2);
  look(9);
  EXPECT_EQ(seen(EventName::kDropsStarted), Texts{"+malformed"}) << log;
  look(2);
  EXPECT_EQ(seen(EventName::kDropsStarted), (Texts{"+malformed", "-malformed"})) << log;
  slot->malformed.store(3);
  look(1);
  EXPECT_EQ(seen(EventName::kDropsStarted).size(), 3u) << log;
}

TEST_F(LookAround, AWorkerThatDoesNotComeRoundIsStuckUntilItDoes) {
  look(10);
  EXPECT_EQ(seen(EventName::kWorkerStuck), Texts()) << log;
  for (int i = 0; i < 8; i++) {
    now += kSecond;
    node->poll(now);
    node->look_around(now);
  }
  EXPECT_EQ(seen(EventName::kWorkerStuck), Texts{"+worker 0"}) << log;
  look(2);
  EXPECT_EQ(seen(EventName::kWorkerStuck), (Texts{"+worker 0", "-worker 0"})) << log;
}

TEST_F(LookAround, TheOldestMessageIsAsOldAsItIsSeenToWait) {
  publish(3);
  look(6);
  EXPECT_GE(node->numbers().oldest_ns, 5 * kSecond);
  EXPECT_LE(node->numbers().oldest_ns, 7 * kSecond);
  EXPECT_EQ(node->numbers().in_flight[static_cast<size_t>(Taker::kClient)], 3u);
  slot->shown.store(3);
  slot->position.store(3);
  EXPECT_EQ(node->numbers().oldest_ns, 0u);
  EXPECT_EQ(node->numbers().counted.delivered[static_cast<size_t>(Taker::kClient)], 3u);
}

TEST_F(LookAround, WhatWasCountedStaysWhenItsLaneIsNoMore) {
  publish(3);
  slot->shown.store(2);
  slot->position.store(2);
  look(1);
  const NodeNumbers before = node->numbers();
  EXPECT_EQ(before.counted.published, 3u);
  EXPECT_EQ(before.lanes, 1u);
  publisher.leave();
  subscriber.leave();
  look(2);
  const NodeNumbers after = node->numbers();
  EXPECT_EQ(after.lanes, 0u) << node->show("lanes");
  EXPECT_EQ(after.counted.published, before.counted.published);
  EXPECT_EQ(after.counted.published_bytes, before.counted.published_bytes);
  EXPECT_EQ(after.counted.delivered, before.counted.delivered);
  EXPECT_EQ(after.drops.at(Drop::kReaderDied), 1u);
}

struct LookAtPeer : test::PeerRig {
  Texts seen(EventName name) const { return changes(events, name); }
};

TEST_F(LookAtPeer, ALinkIsDownUntilItIsUpAndAgainWhenItIsLost) {
  EXPECT_EQ(seen(EventName::kLinkDown), (Texts{"+node 2 path 0", "-node 2 path 0"})) << log;
  peer.hang_up(now);
  settle(20);
  ASSERT_GE(seen(EventName::kLinkDown).size(), 3u) << log;
  EXPECT_EQ(seen(EventName::kLinkDown)[2], "+node 2 path 0");
}

TEST_F(LookAtPeer, ALinkThatIsNotHeardIsSuspectBeforeItIsDown) {
  const auto pass = [&](int tenths) {
    for (int i = 0; i < tenths; i++) {
      now += kSecond / 10;
      settle(1);
    }
    node->look_around(now);
  };
  pass(20);
  EXPECT_EQ(seen(EventName::kLinkSuspect), Texts()) << log;
  peer_port_.faults.cut = port_.faults.cut = true;
  for (int i = 0; i < 90 && seen(EventName::kLinkSuspect).empty(); i++)
    pass(1);
  EXPECT_EQ(seen(EventName::kLinkSuspect), Texts{"+node 2 path 0"}) << log << show("links");
  EXPECT_EQ(seen(EventName::kLinkDown).size(), 2u) << log;
  pass(200);
  EXPECT_EQ(seen(EventName::kLinkDown).size(), 3u) << log << show("links");
  EXPECT_EQ(seen(EventName::kLinkSuspect).size(), 2u) << log;
}

TEST_F(LookAtPeer, APortThatIsDownIsSaidAndSoIsThatItIsUp) {
  node->look_around(now);
  EXPECT_EQ(seen(EventName::kPortDown), Texts()) << log;
  port_.faults.cut = true;
  for (int i = 0; i < 3; i++)
    node->look_around(now += kSecond);
  EXPECT_EQ(seen(EventName::kPortDown), Texts{"+port sim"}) << log;
  port_.faults.cut = false;
  node->look_around(now += kSecond);
  EXPECT_EQ(seen(EventName::kPortDown), (Texts{"+port sim", "-port sim"})) << log;
}

TEST_F(LookAtPeer, APortWithoutBuffersIsLowUntilItHasThemAgain) {
  node->look_around(now);
  std::vector<Frame> all(1 << 16);
  const size_t taken = port_.tx_alloc(all);
  ASSERT_LT(taken, all.size());
  node->look_around(now += kSecond);
  EXPECT_EQ(seen(EventName::kMemoryLow), Texts{"+port sim queue 0"}) << log;
  port_.release({all.data(), taken});
  for (int i = 0; i < 60; i++)
    node->look_around(now += kSecond);
  EXPECT_EQ(seen(EventName::kMemoryLow), (Texts{"+port sim queue 0", "-port sim queue 0"})) << log;
}

TEST_F(LookAtPeer, APeerThatAsksForTooMuchIsCutOffUntilItIsRemoved) {
  for (size_t i = 0; i <= kMostInterests; i++) {
    EXPECT_EQ(seen(EventName::kPeerCut), Texts()) << i;
    say(wish(i + 1, fmt::format("f{}", i).c_str()));
    settle(1);
  }
  settle(4);
  EXPECT_EQ(seen(EventName::kPeerCut), Texts{"+node 2"}) << log;
  node->remove_peer(test::HostilePeer::kSelf);
  for (int i = 0; i < 10; i++) {
    now += Node::kTickNs;
    settle(1);
  }
  EXPECT_EQ(seen(EventName::kPeerCut), (Texts{"+node 2", "-node 2"})) << log;
}

}  // namespace
}  // namespace penstock
