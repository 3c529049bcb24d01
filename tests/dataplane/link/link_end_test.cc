// How sessions end, and begin anew.
#include <gtest/gtest.h>

#include "tests/support/link_rig.h"
#include "tests/support/scripted_peer.h"

namespace penstock {
namespace {

using test::LinkRig;
using test::RigConfig;
using test::ScriptedPeer;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;

TEST(Session, SilenceEndsIt) {
  ScriptedPeer p;
  p.connect();
  const uint64_t start = p.now;
  uint64_t pings = 0;
  uint64_t called_at = 0;
  std::vector<LinkEvent> events;
  for (; events.empty() && p.now < start + 60 * kSecond; events = p.events()) {
    p.now += 100 * kMs;
    pings += p.take(FrameType::kPing).size();
    if (called_at == 0 && !p.link.up()) called_at = p.now;
  }
  EXPECT_NEAR(static_cast<double>(called_at - start), 5e9, 0.2e9) << "first it calls again";
  EXPECT_NEAR(static_cast<double>(p.now - start), 10e9, 0.2e9);
  EXPECT_GE(pings, 3u);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kSilent);
  EXPECT_EQ(p.link.state(), LinkState::kConnecting);
  EXPECT_FALSE(p.take(FrameType::kHello).empty());
}

TEST(Session, ASideThatWasNotRunBlamesItself) {
  ScriptedPeer p;
  p.connect();
  p.now += 30 * kSecond;
  p.take();
  EXPECT_TRUE(p.link.up());
  EXPECT_EQ(p.link.stats().stalls.read(), 1u);
}

TEST(Session, CloseTellsThePeerAndStaysClosed) {
  ScriptedPeer p;
  p.connect();
  p.link.close(LinkClose::kStopped, p.now);
  ASSERT_TRUE(p.link.has_work(p.now));
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].hop.type, FrameType::kClose);
  EXPECT_EQ(sent[0].hop.connection, ScriptedPeer::kConnection);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kClosedHere);
  EXPECT_FALSE(p.link.has_work(p.now + 1000 * kSecond));
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kUnknownPeer);
}

TEST(Session, APeerThatClosesIsCalledAgain) {
  ScriptedPeer p;
  p.connect();
  EXPECT_EQ(p.give_close(LinkClose::kStopped), Drop::kNone);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerClosed);
  EXPECT_EQ(events[0].close, LinkClose::kStopped);
  p.now += 50 * kMs;
  EXPECT_EQ(p.take(FrameType::kHello).size(), 1u);
}

TEST(Session, ACallerThatReadsNoEventsLosesNone) {
  ScriptedPeer p;
  p.connect();
  for (int i = 0; i < 50; i++) {
    p.epoch++;
    p.connection++;
    p.give_hello(p.hello());
    p.take();
    p.give_ping();
  }
  const auto events = p.events();
  EXPECT_LE(events.size(), 8u);
  for (size_t i = 0; i < events.size(); i++)
    EXPECT_EQ(events[i].kind, i % 2 == 0 ? LinkEvent::kDown : LinkEvent::kUp);
  EXPECT_GT(p.drops(Drop::kNoBuffer), 0u);
}

// A session costs the node a control channel: a peer that resets without end gets few of them.
TEST(Session, APeerThatBeginsAnewWithoutEndIsSlowedDown) {
  ScriptedPeer p;
  p.connect();
  const uint64_t start = p.now;
  uint64_t ups = 0;
  const auto reset = [&] {
    p.connection++;
    p.nonce++;
    p.give_hello(p.hello());
    p.take();
    p.give_ping();
    for (const LinkEvent& e : p.events())
      ups += e.kind == LinkEvent::kUp ? 1 : 0;
  };
  for (; p.now < start + 2 * kSecond; p.now += kMs)
    reset();
  EXPECT_LE(ups, 16u);
  EXPECT_GE(ups, 8u) << "a few at once are no flood";
  p.now += 250 * kMs;
  reset();
  EXPECT_TRUE(p.link.up()) << "and one that is in earnest is taken";
}

TEST(Session, BothComeUpUnderHalfLoss) {
  for (uint64_t seed = 1; seed <= 60; seed++) {
    RigConfig c;
    c.seed = seed;
    c.port.faults.lose = 500'000;
    LinkRig rig(c);
    EXPECT_TRUE(rig.connect(60 * kSecond)) << "seed " << seed;
  }
}

TEST(Session, OneSideMayCallLater) {
  LinkRig rig({});
  rig.link(0).start(rig.now());
  rig.run_for(5 * kSecond);
  EXPECT_FALSE(rig.link(0).up());
  rig.link(1).start(rig.now());
  EXPECT_TRUE(rig.run_until([&] { return rig.up(); }, kSecond));
}

TEST(Session, ARestartedNodeIsTakenAndItsZombieIsNot) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  rig.restart(1, 2);
  ASSERT_TRUE(rig.run_until([&] { return rig.up() && rig.link(0).peer_epoch() == 2; }, kSecond));
  rig.run_for(10 * kMs);
  EXPECT_EQ(rig.side(0).events.at(1).why, LinkEvent::kPeerRestarted);
  rig.restart(1, 1);  // the old life again
  rig.run_for(5 * kSecond);
  EXPECT_FALSE(rig.link(1).up());
  EXPECT_GT(rig.link(0).stats().drops.read(Drop::kStaleEpoch), 0u);
  ASSERT_FALSE(rig.side(1).events.empty());
  EXPECT_EQ(rig.side(1).events.back().why, LinkEvent::kStaleHere);
}

TEST(Session, AfterACutBothMeetAgain) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  for (size_t i = 0; i < 2; i++)
    rig.side(i).port->faults.cut = true;
  rig.run_for(15 * kSecond);
  EXPECT_FALSE(rig.link(0).up());
  EXPECT_FALSE(rig.link(1).up());
  for (size_t i = 0; i < 2; i++)
    rig.side(i).port->faults.cut = false;
  EXPECT_TRUE(rig.run_until([&] { return rig.up(); }, 5 * kSecond));
}

// All that was on the way is lost, and the window was closed meanwhile: what goes to find out must
// not wait for the window, or each two packets would wait for a probe timeout of their own.
TEST(Session, GoesOnSoonAfterACutInFullFlight) {
  for (const bool credits : {false, true}) {
    RigConfig c;
    c.port.faults.delay_ns = 2 * kMs;
    LinkRig rig(c);
    Inflow inflow(credits ? 1'250'000 : 0);
    for (size_t i = 0; i < 2; i++)
      rig.link(i).set_inflow(&inflow);
    ASSERT_TRUE(rig.connect());
    auto& f = rig.add_flow(0, {.lane = {.ring_log2 = 10, .arena_log2 = 22, .topics = 1},
                               .mirror = {.ring_log2 = 10, .arena_log2 = 22, .topics = 1},
                               .max_len = 100'000,
                               .total = 2000});
    rig.application = [&] {
      f.publish(100);
      f.read(1000);
      return false;
    };
    ASSERT_TRUE(rig.run_until([&] { return f.ledger.delivered() >= 500; }, 60 * kSecond));
    ASSERT_GT(rig.link(0).stats().in_flight.load(), 100u);
    for (size_t i = 0; i < 2; i++)
      rig.side(i).port->faults.cut = true;
    rig.run_for(50 * kMs);
    for (size_t i = 0; i < 2; i++)
      rig.side(i).port->faults.cut = false;
    EXPECT_TRUE(rig.run_until([&] { return f.ledger.delivered() >= 520; }, 200 * kMs))
        << f.ledger.text() << rig.text(0);
    EXPECT_EQ(f.ledger.wrong(), 0u);
  }
}

}  // namespace
}  // namespace penstock
