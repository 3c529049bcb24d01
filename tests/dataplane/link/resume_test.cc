// Sessions that go on: connections break and stand still by seed, and nothing that both sides hold
// is lost, doubled or out of order.
#include <gtest/gtest.h>

#include "dataplane/wire/hello.h"
#include "tests/support/flow.h"
#include "tests/support/link_rig.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

using test::Flow;
using test::LinkRig;
using test::Random;
using test::RigConfig;
using test::ScriptedPeer;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr uint64_t kDead = 2 * kSecond;

// A way for one side to hear nothing for a while: the other's frames vanish, all frames do, or its
// worker or the other's is not run.
struct Break {
  uint32_t what = 0;
  uint64_t from = 0;
  uint64_t to = 0;

  void apply(LinkRig& rig, bool on) const {
    if (what < 3) {
      for (size_t i = 0; i < 2; i++)
        if (what == 2 || what == i) rig.side(i).port->faults.cut = on;
    } else {
      rig.side(what - 3).running = !on;
    }
  }
};

class Resume : public ::testing::TestWithParam<uint64_t> {};

TEST_P(Resume, LosesNothingThatBothSidesHold) {
  Random r(GetParam());
  RigConfig c;
  c.seed = GetParam();
  c.port.max_frame = r.chance(50) ? 1514 : 9014;
  c.port.faults.lose = static_cast<uint32_t>(r.below(100'000));
  c.port.faults.duplicate = static_cast<uint32_t>(r.below(100'000));
  c.port.faults.reorder = static_cast<uint32_t>(r.below(100'000));
  c.port.faults.delay_ns = 5'000 + r.below(2 * kMs);
  c.port.faults.reorder_ns = 100'000;
  c.link.dead_after_ns = kDead;
  c.link.congestion = r.chance(60);
  LinkRig rig(c);
  ASSERT_TRUE(rig.connect());
  const uint64_t flows = 1 + r.below(4);
  for (uint32_t i = 0; i < flows; i++) {
    rig.add_flow(r.below(2), {.alias = i,
                              .lane = {.ring_log2 = 6, .arena_log2 = 19, .topics = 1},
                              .mirror = {.ring_log2 = 5, .arena_log2 = 18, .topics = 1},
                              .max_len = r.chance(50) ? 200u : 100'000u,
                              .total = 400,
                              .seed = r()});
  }
  const auto eager = static_cast<uint32_t>(5 + r.below(95));
  bool idle = false;
  rig.application = [&] {
    if (idle) return false;
    for (auto& f : rig.flows()) {
      if (r.chance(5)) f->publish(1);
      if (r.chance(eager)) f->read(1 + r.below(8));
    }
    return false;
  };
  for (int breaks = 0; breaks < 3; breaks++) {
    rig.run_for(r.below(20 * kMs));
    const Break b{.what = static_cast<uint32_t>(r.below(5))};
    b.apply(rig, true);
    rig.run_for(kDead / 2 + r.below(kDead / 4));
    b.apply(rig, false);
    ASSERT_TRUE(rig.run_until([&] { return rig.up(); }, kDead)) << rig.text(0) << rig.text(1);
    // Time to meet again: one way cut, and a moment later the other, are one silence.
    idle = true;
    rig.run_for(kDead / 4);
    idle = false;
  }
  const bool done = rig.run_until(
      [&] {
        bool all = true;
        for (auto& f : rig.flows())
          all = all && f->done();
        return all;
      },
      100 * kSecond);
  std::string text =
      test::replay("dataplane/link/tests_link", "Resume.LosesNothingThatBothSidesHold", GetParam());
  uint64_t reconnects = 0;
  for (size_t i = 0; i < 2; i++) {
    text += rig.text(i);
    reconnects += rig.link(i).stats().reconnects.read();
    EXPECT_EQ(rig.side(i).events.size(), 1u) << "the session outlived its connections";
  }
  for (auto& f : rig.flows()) {
    text += f->ledger.text() + "; ";
    EXPECT_EQ(f->ledger.wrong(), 0u) << text;
    EXPECT_EQ(f->ledger.gaps(), 0u) << text;
    EXPECT_EQ(f->out.stats().sent.read(), f->in.stats().delivered.read()) << text;
  }
  EXPECT_TRUE(done) << text;
  EXPECT_GT(reconnects, 0u) << text;
}

INSTANTIATE_TEST_SUITE_P(Seeds, Resume, ::testing::Range<uint64_t>(0, test::seeds(60)));

// What the link says to each that calls: HELLO by the peer, the answer by the link, then up.
void meet_again(ScriptedPeer& p, uint64_t session) {
  p.connection++;
  p.nonce++;
  p.packet = 0;
  p.session = session;
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  EXPECT_EQ(p.take(FrameType::kHelloAck).size(), 1u);
  p.give_ping();
}

uint64_t session_said(ScriptedPeer& p) {
  p.give_hello(p.hello());
  const auto acks = p.take(FrameType::kHelloAck);
  return acks.empty() ? 0 : parse_hello_ack(acks.at(0).span())->session;
}

struct ResumeTest : ::testing::Test {
  ResumeTest() {
    p.link.start(p.now);
    Hello h = p.hello();
    h.nonce = parse_hello(p.take(FrameType::kHello).at(0).span())->nonce;
    p.give_hello_ack(h);
    session = p.events().at(0).session;
    p.take();
    f.publish(4);
    EXPECT_EQ(p.link.add_out(&f.out), Errc::kOk);
  }
  ScriptedPeer p;
  Flow f{{.max_len = 100}};
  uint64_t session = 0;
};

TEST_F(ResumeTest, WhatWasOnItsWayGoesOnceMoreWithItsPositions) {
  const auto first = p.take(FrameType::kBatch);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_NE(session, 0u);
  meet_again(p, session);
  EXPECT_TRUE(p.events().empty()) << "the session goes on";
  EXPECT_EQ(p.link.stats().reconnects.read(), 1u);
  const auto again = p.take(FrameType::kBatch);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].body, first[0].body);
  EXPECT_EQ(again[0].hop.connection, p.connection);
  EXPECT_LT(again[0].hop.packet, 10u) << "a new connection counts packets anew";
  p.give_ack(1, again[0].hop.packet);
  EXPECT_TRUE(f.out.idle());
}

TEST_F(ResumeTest, AnAckOfTheOldConnectionSaysNothing) {
  const uint32_t old = p.link.connection();
  const auto first = p.take(FrameType::kBatch);
  p.connection++;
  p.nonce++;
  p.session = session;
  p.give_hello(p.hello());
  std::array<std::byte, 200> body;
  const size_t size = write_ack({.largest = first[0].hop.packet}, {}, body);
  EXPECT_EQ(p.give({.type = FrameType::kAck,
                    .incarnation = static_cast<uint16_t>(p.epoch),
                    .connection = old,
                    .packet = 99},
                   std::span(body).first(size)),
            Drop::kUnknownPeer);
  EXPECT_FALSE(f.out.idle());
}

TEST_F(ResumeTest, APeerThatNoLongerHasItEndsIt) {
  p.take();
  meet_again(p, 0);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerReset);
  EXPECT_EQ(events[0].session, session);
  EXPECT_EQ(events[1].kind, LinkEvent::kUp);
  EXPECT_NE(events[1].session, session);
  EXPECT_TRUE(p.take(FrameType::kBatch).empty()) << "its lanes are gone";
  EXPECT_EQ(p.link.remove_out(f.out.alias()), Errc::kNotFound);
}

TEST_F(ResumeTest, ARestartedPeerEndsItWhateverItSays) {
  p.take();
  p.epoch++;
  meet_again(p, session);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerRestarted);
  EXPECT_EQ(events[1].peer_epoch, p.epoch);
}

TEST_F(ResumeTest, ItSaysTheSameWhileItCallsAndNothingAfterItGaveUp) {
  p.take();
  const uint64_t silent = p.now;
  while (p.link.up()) {
    p.now += 10 * kMs;
    p.take();
  }
  EXPECT_TRUE(p.link.in_session(session));
  EXPECT_EQ(p.link.add_out(&f.out), Errc::kBusy) << "its lanes stay";
  p.nonce++;
  EXPECT_EQ(session_said(p), session);
  while (p.now < silent + 10 * kSecond) {
    p.now += 10 * kMs;
    p.take();
  }
  ASSERT_EQ(p.events().size(), 1u);
  EXPECT_FALSE(p.link.in_session(session));
  EXPECT_EQ(session_said(p), 0u);
}

TEST_F(ResumeTest, AClosingPeerEndsItWhileWeCall) {
  p.take();
  while (p.link.up()) {
    p.now += 10 * kMs;
    p.take();
  }
  EXPECT_EQ(p.give_close(LinkClose::kStopped), Drop::kNone);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerClosed);
}

TEST_F(ResumeTest, AFenceEndsWhatIsLeftOfAnEarlierLife) {
  p.take();
  p.link.fence(p.epoch, p.now);
  EXPECT_TRUE(p.events().empty()) << "it is this life";
  p.link.fence(p.epoch + 1, p.now);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerRestarted);
  p.connection++;
  p.nonce++;
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kStaleEpoch);
  p.epoch++;
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  p.give_ping();
  EXPECT_TRUE(p.link.up());
}

TEST(Resume, HeartbeatsComeFasterWhenTheyStayUnanswered) {
  ScriptedPeer p;
  p.connect();
  std::vector<uint64_t> at;
  const uint64_t start = p.now;
  while (p.link.up()) {
    p.now += kMs;
    for (size_t n = p.take(FrameType::kPing).size(); n > 0; n--)
      at.push_back((p.now - start) / kMs);
  }
  ASSERT_GE(at.size(), 8u);
  EXPECT_EQ(at[0], 2000u) << "one behind a fifth of what a peer may be silent";
  EXPECT_LE(at[4], 2100u) << "then soon, at the pace of the round trip";
  EXPECT_LE(at.size(), 20u) << "and ever more slowly";
}

}  // namespace
}  // namespace penstock
