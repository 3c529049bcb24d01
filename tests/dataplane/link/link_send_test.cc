// Which frame goes when.
#include <gtest/gtest.h>

#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::Bytes;
using test::LaneFeed;
using test::ScriptedPeer;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 11, .arena_log2 = 20, .topics = 1};

// A lane out, and what it takes to have one.
struct Out {
  Out(ScriptedPeer& p, uint32_t alias)
      : peer(p), lane(kLane), feed(lane), out(alias, 1, kLane, feed) {
    EXPECT_EQ(p.link.add_out(&out), Errc::kOk);
  }
  void send(size_t len, int times) {
    const Bytes bytes(len);
    for (int i = 0; i < times; i++)
      ASSERT_EQ(lane.writer().send({}, bytes), Errc::kOk);
    peer.link.wake(&out);
  }
  ScriptedPeer& peer;
  TestLane lane;
  LaneFeed feed;
  OutLane out;
};

// A lane in, of one-byte messages.
struct In {
  explicit In(ScriptedPeer& p) : peer(p), mirror(kLane), in(1, 1, mirror.writer(), 1) {
    EXPECT_EQ(p.link.add_in(&in), Errc::kOk);
  }
  void give(uint8_t flags = 0) {
    peer.give_batch({.alias = 1, .epoch = 1, .position = n, .arena_position = n * 64}, {"x"},
                    flags);
    n++;
  }
  ScriptedPeer& peer;
  TestLane mirror;
  InLane in;
  uint64_t n = 0;
};

std::vector<FrameType> types(const std::vector<test::TakenFrame>& frames) {
  std::vector<FrameType> out;
  for (const auto& f : frames)
    out.push_back(f.hop.type);
  return out;
}

TEST(LinkSend, LanesTakeTurns) {
  ScriptedPeer p;
  p.connect();
  Out a(p, 1), b(p, 2);
  a.send(1000, 40);
  b.send(1000, 40);
  std::vector<uint32_t> order;
  for (const auto& f : p.take(32))
    order.push_back(parse_batch(f.span())->alias);
  ASSERT_EQ(order.size(), 32u);
  EXPECT_EQ(std::ranges::count(order, 1u), 16);
  EXPECT_EQ(order[0], 1u);
  EXPECT_EQ(order[8], 2u);
}

TEST(LinkSend, TheControlLaneGoesFirst) {
  ScriptedPeer p;
  p.connect();
  Out data(p, 1), control(p, kControlAlias);
  data.send(1000, 40);
  control.send(10, 1);
  EXPECT_EQ(parse_batch(p.take(1).at(0).span())->alias, kControlAlias);
}

TEST(LinkSend, AtMostAWindowIsInFlight) {
  auto c = ScriptedPeer::config();
  c.window = 16;
  ScriptedPeer p(c);
  p.connect();
  Out a(p, 1);
  a.send(1000, 40);
  const auto sent = p.take(32);
  ASSERT_EQ(sent.size(), 16u);
  EXPECT_EQ(sent[14].hop.flags, 0);
  EXPECT_EQ(sent[15].hop.flags, kHopAckNow);  // nothing can follow, so the peer shall not wait
  EXPECT_FALSE(p.link.has_work(p.now));
  p.give_ack(sent[0].hop.packet, sent[3].hop.packet);
  EXPECT_EQ(p.take(32).size(), 4u);
}

// The peer says how many packets behind the largest may go; one in flight always may, or a lost
// one would be the last.
TEST(LinkSend, NoMoreThanThePeerAllows) {
  ScriptedPeer p;
  p.connect();
  Out a(p, 1);
  a.send(1000, 40);
  const auto first = p.take(4);
  const uint64_t largest = first[3].hop.packet;
  Ack ack{.largest = largest, .bitmap = {7}, .allowed = 3};
  p.give_ack(ack);
  EXPECT_EQ(p.take(32).size(), 3u);
  EXPECT_FALSE(p.link.has_work(p.now));
  // It allows fewer than are on the way: nothing goes until they have come.
  ack = {.largest = largest + 1, .bitmap = {15}, .allowed = 1};
  p.give_ack(ack);
  EXPECT_TRUE(p.take(32).empty());
  // One that was overtaken says nothing.
  ack = {.largest = largest, .bitmap = {7}, .allowed = 100};
  p.give_ack(ack);
  EXPECT_TRUE(p.take(32).empty());
  ack = {.largest = largest + 3, .bitmap = {63}, .allowed = 0};
  p.give_ack(ack);
  EXPECT_EQ(p.take(32).size(), 1u);
  EXPECT_TRUE(p.take(32).empty());
}

// What was allowed before a pause is not known to be so still: others may have begun.
TEST(LinkSend, AfterAPauseTwoPacketsAreAllowed) {
  ScriptedPeer p;
  p.connect();
  Out a(p, 1);
  a.send(1000, 1);
  const auto first = p.take(1);
  p.give_ack({.largest = first[0].hop.packet, .allowed = 100});
  p.now += 10'000'000;
  a.send(1000, 40);
  EXPECT_EQ(p.take(32).size(), 2u);
}

TEST(LinkSend, AnAckTellsOfMarksAndOfTheTimeInThePort) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  const auto give = [&](const FrameNote& note) {
    p.note = note;
    in.give(kHopAckNow);
    p.note = {};
    const auto acks = p.take(FrameType::kAck);
    return acks.empty() ? Ack{} : parse_ack(acks.back().span())->ack;
  };
  EXPECT_EQ(give({}).marked, 0u);
  const Ack a = give({.waited_ns = 3200, .congested = true});
  EXPECT_EQ(a.marked, 1u);
  EXPECT_EQ(a.waited, 200u);
  const Ack b = give({});
  EXPECT_EQ(b.marked, 1u);
  EXPECT_EQ(b.waited, 0u);
  EXPECT_EQ(p.link.stats().marked.read(), 1u);
}

TEST(LinkSend, AnAckWaitsForMorePackets) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  const uint64_t start = p.now;
  in.give();
  EXPECT_TRUE(p.take(FrameType::kAck).empty());
  EXPECT_LE(p.link.next_deadline(), start + 25'000);
  p.now = start + 24'999;
  EXPECT_TRUE(p.take(FrameType::kAck).empty());
  p.now = start + 25'000;
  const auto acks = p.take(FrameType::kAck);
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(parse_ack(acks[0].span())->ack.delay, 25'000u / 16);
}

TEST(LinkSend, SixteenPacketsAreAcknowledgedAtOnce) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  for (int i = 0; i < 15; i++)
    in.give();
  EXPECT_TRUE(p.take(FrameType::kAck).empty());
  in.give();
  EXPECT_EQ(p.take(FrameType::kAck).size(), 1u);
}

TEST(LinkSend, AGapIsAcknowledgedAtOnce) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  in.give();
  p.take();
  p.packet++;
  in.give();
  const auto acks = p.take(FrameType::kAck);
  ASSERT_EQ(acks.size(), 1u);
  const Ack a = parse_ack(acks[0].span())->ack;
  EXPECT_TRUE(a.has(p.packet));
  EXPECT_FALSE(a.has(p.packet - 1));
  EXPECT_TRUE(a.has(p.packet - 2));
}

TEST(LinkSend, WhoAsksIsAnsweredAtOnce) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  in.give();
  p.take();
  in.give(kHopAckNow);
  EXPECT_EQ(p.take(FrameType::kAck).size(), 1u);
}

TEST(LinkSend, AnAnswerGoesBeforeTheAck) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  Out out(p, 1);
  in.give(kHopAckNow);
  out.send(64, 1);
  EXPECT_EQ(types(p.take()), (std::vector{FrameType::kBatch, FrameType::kAck}));
}

TEST(LinkSend, ASaturatedLinkStillAcknowledges) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  Out out(p, 1);
  in.give(kHopAckNow);
  out.send(1000, 100);
  const auto sent = types(p.take(4));
  EXPECT_EQ(sent, (std::vector{FrameType::kBatch, FrameType::kBatch, FrameType::kBatch,
                               FrameType::kAck}));
}

TEST(LinkSend, APingIsAnsweredWithItsToken) {
  ScriptedPeer p;
  p.connect();
  p.give_ping();
  const auto sent = p.take();
  ASSERT_EQ(types(sent), (std::vector{FrameType::kPong}));
  EXPECT_EQ(*parse_ping(sent[0].span()), 77u);
}

TEST(LinkSend, AnIdleLinkHasNothingToDo) {
  ScriptedPeer p;
  p.connect();
  In in(p);
  Out out(p, 1);
  p.take();
  EXPECT_FALSE(p.link.has_work(p.now));
  EXPECT_GT(p.link.next_deadline(), p.now + 1'000'000'000);  // but for signs of life
}

TEST(LinkSend, FramesAreSealedAndNumbered) {
  ScriptedPeer p;
  p.connect();
  Out out(p, 1);
  out.send(3000, 3);
  uint64_t last = 0;
  for (const auto& f : p.take()) {
    EXPECT_GT(f.hop.packet, last);
    EXPECT_EQ(f.hop.incarnation, 3u);
    EXPECT_EQ(f.hop.timestamp, static_cast<uint32_t>(p.now >> 4));
    last = f.hop.packet;
  }
  EXPECT_TRUE(p.ok);
}

}  // namespace
}  // namespace penstock
