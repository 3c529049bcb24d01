// What counts as lost, and what is done about it.
#include <gtest/gtest.h>

#include "tests/support/link_rig.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::Bytes;
using test::Flow;
using test::LaneFeed;
using test::LinkRig;
using test::RigConfig;
using test::ScriptedPeer;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 11, .arena_log2 = 20, .topics = 1};
constexpr uint64_t kMs = 1'000'000;

// One lane whose messages take a frame each.
class LossTest : public ::testing::Test {
 protected:
  LossTest() : lane(kLane), feed(lane), out(1, 1, kLane, feed) {
    p.connect();
    EXPECT_EQ(p.link.add_out(&out), Errc::kOk);
  }
  // Sends `n` messages and returns their packet numbers.
  std::vector<uint64_t> send(int n) {
    const Bytes bytes(1000);
    for (int i = 0; i < n; i++)
      EXPECT_EQ(lane.writer().send({}, bytes), Errc::kOk);
    p.link.wake(&out);
    return numbers(p.take());
  }
  static std::vector<uint64_t> numbers(const std::vector<test::TakenFrame>& frames) {
    std::vector<uint64_t> out;
    for (const auto& f : frames)
      if (f.hop.type == FrameType::kBatch) out.push_back(f.hop.packet);
    return out;
  }
  uint64_t position(const test::TakenFrame& f) { return parse_batch(f.span())->position; }
  // Teaches the link a round trip of 1 us.
  void learn() {
    for (int i = 0; i < 50; i++) {
      const auto sent = send(1);
      p.now += 1000;
      p.give_ack(sent[0], sent[0]);
    }
  }

  ScriptedPeer p;
  TestLane lane;
  LaneFeed feed;
  OutLane out;
};

TEST_F(LossTest, ThreeLaterPacketsProveALoss) {
  const auto sent = send(5);
  p.give_ack(sent[1], sent[2]);
  EXPECT_TRUE(p.take(FrameType::kBatch).empty());
  p.give_ack(sent[1], sent[3]);
  const auto again = p.take(FrameType::kBatch);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(position(again[0]), 0u);
  EXPECT_GT(again[0].hop.packet, sent[4]);  // a number of its own
  EXPECT_EQ(again[0].hop.flags, kHopAckNow);
  EXPECT_EQ(p.link.stats().lost.read(), 1u);
  EXPECT_EQ(out.stats().retransmitted.read(), 1u);
}

TEST_F(LossTest, TimeProvesALossWhenFewPacketsFollow) {
  learn();
  const auto sent = send(2);
  p.now += 1000;
  p.give_ack(sent[1], sent[1]);
  EXPECT_TRUE(p.take(FrameType::kBatch).empty());
  EXPECT_LE(p.link.next_deadline(), p.now + 1000);
  p.now += 1000;
  EXPECT_EQ(p.take(FrameType::kBatch).size(), 1u);
}

TEST_F(LossTest, ALostPacketIsSentAgainOnce) {
  const auto sent = send(5);
  p.give_ack(sent[1], sent[4]);
  EXPECT_EQ(p.take(FrameType::kBatch).size(), 1u);
  p.give_ack(sent[1], sent[4]);
  EXPECT_TRUE(p.take(FrameType::kBatch).empty());
}

TEST_F(LossTest, SilenceBringsTwoProbesThenFewer) {
  learn();
  const auto sent = send(10);
  const uint64_t start = p.now;
  std::vector<uint64_t> pauses;
  uint64_t last = start;
  while (p.now < start + 20 * kMs) {
    p.now = p.link.next_deadline();
    const auto probes = p.take(FrameType::kBatch);
    if (probes.empty()) continue;
    EXPECT_EQ(probes.size(), 2u);
    pauses.push_back((p.now - last) / 1000);
    last = p.now;
  }
  // The smallest timeout is 100 us; it doubles six times.
  EXPECT_EQ(pauses, (std::vector<uint64_t>{100, 200, 400, 800, 1600, 3200, 6400, 6400, 6400}));
  EXPECT_EQ(p.link.stats().in_flight.load(), 10u);  // the window stays as it was
}

TEST_F(LossTest, AnAckEndsTheProbing) {
  learn();
  const auto sent = send(1);
  p.now += 1 * kMs;
  const auto probe = p.take(FrameType::kBatch);
  ASSERT_EQ(probe.size(), 1u);
  p.give_ack(probe[0].hop.packet, probe[0].hop.packet);
  EXPECT_TRUE(out.idle());
  EXPECT_GT(p.link.next_deadline(), p.now + 1000 * kMs);
}

TEST_F(LossTest, ANeedlessRetransmissionIsNoticedAndMakesPatient) {
  const auto sent = send(8);
  p.give_ack(sent[1], sent[5]);  // 0 seems lost
  EXPECT_EQ(p.take(FrameType::kBatch).size(), 1u);
  p.give_ack(sent[0], sent[6]);  // but it was only late, by six
  EXPECT_EQ(p.link.stats().spurious.read(), 1u);
  p.give_ack(sent[0], sent[7] + 1);
  const auto next = send(8);
  p.give_ack(next[1], next[5]);
  EXPECT_TRUE(p.take(FrameType::kBatch).empty());
  p.give_ack(next[1], next[7]);
  EXPECT_EQ(p.take(FrameType::kBatch).size(), 1u);
}

TEST_F(LossTest, WhatBelongsToARemovedLaneIsNotSentAgain) {
  send(5);
  EXPECT_EQ(p.link.remove_out(1), Errc::kOk);
  p.now += 100 * kMs;
  EXPECT_TRUE(p.take(FrameType::kBatch).empty());
  EXPECT_EQ(out.stats().in_flight(), 5u);
}

TEST_F(LossTest, AnAckOfWhatWasNeverSentIsRefused) {
  const auto sent = send(1);
  EXPECT_EQ(p.give_ack({.largest = sent[0] + 1}), Drop::kBadFrame);
  EXPECT_EQ(p.give_ack({.largest = ~uint64_t{0}}), Drop::kBadFrame);
  EXPECT_EQ(out.stats().in_flight(), 1u);
}

TEST_F(LossTest, RoundTripsAreMeasuredWithoutThePeersDelay) {
  const auto sent = send(1);
  p.now += 50'000;
  p.give_ack({.largest = sent[0], .delay = 20'000 / 16});
  EXPECT_EQ(p.link.stats().min_rtt_ns.load(), 1000u);  // of the handshake
  EXPECT_EQ(p.link.stats().srtt_ns.load(), (7 * 1000u + 30'000) / 8);
}

TEST(Loss, OnePercentCostsOnePercent) {
  RigConfig c;
  c.port.faults.lose = 10'000;
  c.port.faults.delay_ns = 10'000;
  LinkRig rig(c);
  ASSERT_TRUE(rig.connect());
  Flow& f = rig.add_flow(0, {.lane = kLane, .mirror = kLane, .max_len = 1300, .total = 20'000});
  rig.application = [&] { return f.publish(32) + f.read(64) != 0; };
  ASSERT_TRUE(rig.run_until([&] { return f.done(); }, 60'000 * kMs)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong(), 0u);
  const auto& s = rig.link(0).stats();
  EXPECT_LT(s.retransmitted.read() * 100, s.tx_frames.read() * 3);
  EXPECT_LT(s.spurious.read() * 10, s.retransmitted.read() + 100);
}

TEST(Loss, AReaderThatStopsLosesNothing) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  Flow& f = rig.add_flow(0, {.total = 1000});
  rig.application = [&] { return f.publish(32) != 0; };
  rig.run_for(5'000 * kMs);
  EXPECT_TRUE(f.out.blocked());
  const uint64_t frames = rig.link(0).stats().tx_frames.read();
  rig.run_for(1'000 * kMs);
  EXPECT_LT(rig.link(0).stats().tx_frames.read() - frames, 200u);  // it asks now and then
  rig.application = [&] { return f.publish(32) + f.read(32) != 0; };
  EXPECT_TRUE(rig.run_until([&] { return f.done(); }, 5'000 * kMs)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong(), 0u);
}

TEST(Loss, ALaneThatIsBlockedHoldsNoOther) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  Flow& slow = rig.add_flow(0, {.alias = 1, .total = 1000});
  Flow& fast = rig.add_flow(0, {.alias = 2, .total = 1000});
  rig.application = [&] { return slow.publish(32) + fast.publish(32) + fast.read(32) != 0; };
  EXPECT_TRUE(rig.run_until([&] { return fast.done(); }, 5'000 * kMs)) << fast.ledger.text();
  EXPECT_TRUE(slow.out.blocked());
}

TEST(Loss, APathThatIsCutForASecondLosesNothing) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  Flow& f = rig.add_flow(0, {.total = 2000});
  rig.application = [&] { return f.publish(1) + f.read(32) != 0; };
  rig.run_until([&] { return f.ledger.count() > 500; }, 1'000 * kMs);
  for (size_t i = 0; i < 2; i++)
    rig.side(i).port->faults.cut = true;
  rig.run_for(1'000 * kMs);
  for (size_t i = 0; i < 2; i++)
    rig.side(i).port->faults.cut = false;
  EXPECT_TRUE(rig.run_until([&] { return f.done(); }, 10'000 * kMs)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong(), 0u);
  EXPECT_EQ(rig.link(0).stats().sessions.read(), 1u);
}

TEST(Loss, ASenderThatVanishesLeavesNoHalfMessage) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  Flow& f = rig.add_flow(0, {.mirror = {.ring_log2 = 5, .arena_log2 = 18, .topics = 4},
                             .max_len = 10'000,
                             .total = 100'000});
  rig.application = [&] { return f.publish(4) + f.read(32) != 0; };
  rig.run_for(3 * kMs);
  rig.side(0).running = false;
  rig.run_for(20'000 * kMs);
  f.read(1000);
  EXPECT_FALSE(rig.link(1).up());
  EXPECT_GT(f.ledger.delivered(), 0u);
  EXPECT_EQ(f.ledger.wrong(), 0u) << f.ledger.text();
  EXPECT_EQ(f.in.stats().delivered.read(), f.ledger.delivered());
}

}  // namespace
}  // namespace penstock
