// What a sender makes of a lane's messages, and what it lets go of.
#include "dataplane/link/out_lane.h"

#include <gtest/gtest.h>

#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::Bytes;
using test::LaneFeed;
using test::ScriptedPeer;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 8, .arena_log2 = 20, .topics = 2};
constexpr LaneGeometry kMirror{.ring_log2 = 4, .arena_log2 = 14, .topics = 2};  // 16, 16 KiB
constexpr uint32_t kAlias = 5;

class OutLaneTest : public ::testing::Test {
 protected:
  OutLaneTest() : lane(kLane), feed(lane), out(kAlias, 3, kMirror, feed) {
    p.connect();
    EXPECT_EQ(p.link.add_out(&out), Errc::kOk);
  }

  void send(size_t len, int times = 1, Meta meta = {}) {
    for (int i = 0; i < times; i++) {
      const Bytes bytes(len, std::byte{static_cast<uint8_t>(len)});
      ASSERT_EQ(lane.writer().send(meta, bytes), Errc::kOk);
    }
    p.link.wake(&out);
  }
  static std::vector<Record> records(const test::TakenFrame& f) {
    std::vector<Record> all;
    BatchReader in(f.span());
    Record r;
    while (in.next(r))
      all.push_back(r);
    EXPECT_FALSE(in.malformed());
    return all;
  }
  Drop ack(const test::TakenFrame& f, const std::vector<Credit>& credits = {}) {
    p.now += 1000;
    return p.give_ack(f.hop.packet, f.hop.packet, credits);
  }
  uint64_t released() { return feed.reader().released(); }

  ScriptedPeer p;
  TestLane lane;
  LaneFeed feed;
  OutLane out;
};

TEST_F(OutLaneTest, SmallMessagesShareAFrame) {
  send(64, 10, {.time_ns = 9, .key = 8});
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].hop.type, FrameType::kBatch);
  EXPECT_EQ(sent[0].hop.connection, ScriptedPeer::kConnection);
  const auto h = parse_batch(sent[0].span());
  EXPECT_EQ(*h, (BatchHeader{kAlias, 3, 0, 0, 0}));
  const auto r = records(sent[0]);
  ASSERT_EQ(r.size(), 10u);
  EXPECT_EQ(r[9].len, 64u);
  EXPECT_EQ(r[9].source, 9u);
  EXPECT_EQ(r[9].time, 9u);
  EXPECT_EQ(r[9].key, 8u);
  EXPECT_TRUE(p.take().empty());
  EXPECT_EQ(out.stats().in_flight(), 10u);
}

TEST_F(OutLaneTest, AMessageThatDoesNotFitTheRestStartsTheNextFrame) {
  send(600, 3);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(records(sent[0]).size(), 2u);
  EXPECT_EQ(*parse_batch(sent[1].span()), (BatchHeader{kAlias, 3, 2, 1280, 2}));
}

TEST_F(OutLaneTest, ALargeMessageGoesInPiecesFromWhereItLies) {
  send(5000);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 4u);
  uint64_t offset = 0;
  for (const auto& f : sent) {
    const auto piece = parse_fragment(f.span());
    ASSERT_TRUE(piece);
    // Whole blocks of 64, as many as fit.
    EXPECT_EQ(piece->piece.size(), std::min<uint64_t>(1344, 5000 - offset));
    EXPECT_EQ(piece->header.offset, offset);
    EXPECT_EQ(piece->header.message_len, 5000u);
    EXPECT_EQ(f.payload, piece->piece.size());
    offset += piece->piece.size();
  }
  EXPECT_EQ(offset, 5000u);
}

TEST_F(OutLaneTest, AMiddlingMessageGoesInOnePiece) {
  send(1368);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  const auto piece = parse_fragment(sent[0].span());
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->piece.size(), 1368u);  // all of the frame's room
  EXPECT_EQ(sent[0].payload, 1368u);
}

TEST_F(OutLaneTest, WhereFramesMayNotReferPayloadsAreCopied) {
  feed.copy_payloads();
  send(3000);
  for (const auto& f : p.take()) {
    EXPECT_EQ(f.payload, 0u);
    EXPECT_TRUE(parse_fragment(f.span()));
  }
}

TEST_F(OutLaneTest, AMessageLargerThanTheMirrorGoesAsAGap) {
  send(20'000);
  send(10);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  const auto r = records(sent[0]);
  ASSERT_EQ(r.size(), 2u);
  EXPECT_TRUE(r[0].gap);
  EXPECT_EQ(r[0].key, 1u);
  EXPECT_EQ(r[0].parts, static_cast<uint8_t>(Drop::kTooBig));
  EXPECT_EQ(r[1].source, 1u);
  EXPECT_EQ(out.stats().too_big.read(), 1u);
}

TEST_F(OutLaneTest, MoreThan255PartsGoAsAPiece) {
  const std::vector<std::span<const std::byte>> parts(300);
  ASSERT_EQ(lane.writer().send_parts({}, parts), Errc::kOk);
  p.link.wake(&out);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(parse_fragment(sent[0].span())->header.parts, 300u);
}

TEST_F(OutLaneTest, LetsGoOnlyOfWhatArrivedInOrder) {
  send(1000, 4);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 4u);
  ack(sent[1]);
  EXPECT_EQ(released(), 0u);
  ack(sent[0]);
  EXPECT_EQ(released(), 2u);
  EXPECT_EQ(out.stats().delivered.read(), 2u);
  p.give_ack(sent[0].hop.packet, sent[3].hop.packet);
  EXPECT_EQ(released(), 4u);
  EXPECT_TRUE(out.idle());
}

TEST_F(OutLaneTest, APieceThatIsMissingHoldsItsMessage) {
  send(3000);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 3u);
  ack(sent[0]);
  ack(sent[2]);
  EXPECT_EQ(released(), 0u);
  ack(sent[1]);
  EXPECT_EQ(released(), 1u);
}

TEST_F(OutLaneTest, SendsNoMoreThanTheMirrorsRing) {
  send(8, 20);
  EXPECT_EQ(records(p.take().at(0)).size(), 16u);
  EXPECT_TRUE(p.take().empty());
  EXPECT_TRUE(out.blocked());
  p.give_ack({.largest = 0}, {{kAlias, 3, 3, 3 * 64}});
  EXPECT_FALSE(out.blocked());
  EXPECT_EQ(records(p.take().at(0)).size(), 3u);
  EXPECT_EQ(released(), 3u);  // what was consumed has arrived, whatever became of its ACK
}

TEST_F(OutLaneTest, SendsNoMoreThanTheMirrorsArena) {
  send(1000, 20);
  EXPECT_EQ(p.take().size(), 16u);
  EXPECT_TRUE(out.blocked());
}

TEST_F(OutLaneTest, CreditThatMakesNoSenseIsIgnored) {
  send(8, 20);
  p.take();
  const std::vector<Credit> wrong = {{kAlias, 3, 17, 1024},    // beyond what was sent
                                     {kAlias, 3, 3, 1 << 20},  // beyond the arena
                                     {kAlias, 2, 3, 192},      // of another epoch
                                     {kAlias + 1, 3, 3, 192},  // of another lane
                                     {kAlias, 3, 1, ~uint64_t{0}}};
  for (const Credit& c : wrong)
    p.give_ack({.largest = 0}, {c});
  EXPECT_TRUE(out.blocked());
  p.give_ack({.largest = 0}, {{kAlias, 3, 4, 256}});
  p.give_ack({.largest = 0}, {{kAlias, 3, 2, 128}});  // an old one
  EXPECT_EQ(records(p.take().at(0)).size(), 4u);
}

TEST_F(OutLaneTest, ABlockedLaneAsks) {
  send(8, 20);
  p.take();
  ASSERT_TRUE(out.blocked());
  size_t asked = 0;
  for (int i = 0; i < 200; i++) {
    p.now += 1'000'000;
    for (const auto& f : p.take(FrameType::kPing))
      asked += (f.hop.flags & kHopAckNow) != 0 ? 1 : 0;
  }
  EXPECT_GE(asked, 3u);
  EXPECT_LE(asked, 200u);
}

TEST_F(OutLaneTest, IntoAnEmptyMirrorGoesWhatItsArenaCanHold) {
  send(8);
  send(16'384);
  const auto first = p.take();
  ASSERT_EQ(first.size(), 1u);
  ack(first[0]);
  EXPECT_TRUE(p.take().empty());
  p.give_ack({.largest = first[0].hop.packet}, {{kAlias, 3, 1, 64}});
  const auto pieces = p.take();
  ASSERT_EQ(pieces.size(), 13u);
  EXPECT_EQ(parse_fragment(pieces[0].span())->header.arena_position, 16'384u);
}

TEST_F(OutLaneTest, WhatCannotBeReadAgainGoesAsAGapInItsPlace) {
  send(100, 2);
  const auto first = p.take();
  ASSERT_EQ(first.size(), 1u);
  feed.break_looks(true);
  p.now += 100'000'000;
  const auto again = p.take(FrameType::kBatch);
  ASSERT_EQ(again.size(), 1u);
  const auto r = records(again[0]);
  ASSERT_EQ(r.size(), 2u);
  EXPECT_TRUE(r[1].gap);
  EXPECT_EQ(r[1].time, 100u);  // bytes of the arena that it stands for
  EXPECT_EQ(out.stats().broken.read(), 2u);
  ack(again[0]);
  EXPECT_TRUE(out.idle());
  EXPECT_EQ(released(), 2u);
}

TEST_F(OutLaneTest, AMessageThatBreaksWhileItIsSentEndsAsAGap) {
  send(8000);
  const auto first = p.take(2);  // two pieces of six
  ASSERT_EQ(first.size(), 2u);
  feed.break_looks(true);
  p.now += 100'000'000;
  std::vector<test::TakenFrame> again;
  for (int i = 0; i < 10; i++)
    for (auto& f : p.take(1))
      if (f.hop.type == FrameType::kBatch) again.push_back(std::move(f));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_TRUE(records(again[0]).at(0).gap);
  EXPECT_EQ(records(again[0]).at(0).time, 8000u);
  ack(again[0]);
  EXPECT_TRUE(out.idle());
  send(8);
  EXPECT_EQ(parse_batch(p.take(FrameType::kBatch).at(0).span())->arena_position, 8000u / 64 * 64);
}

TEST_F(OutLaneTest, ALaneThatRanDryIsNotAskedUntilItIsWoken) {
  p.take();
  const Bytes bytes(8);
  ASSERT_EQ(lane.writer().send({}, bytes), Errc::kOk);
  EXPECT_FALSE(p.link.has_work(p.now));
  EXPECT_TRUE(p.take().empty());
  p.link.wake(&out);
  EXPECT_TRUE(p.link.has_work(p.now));
  EXPECT_EQ(p.take().size(), 1u);
}

TEST_F(OutLaneTest, ASessionThatEndsDetachesItAndKeepsItsCounts) {
  send(8, 3);
  p.take();
  p.give_close(LinkClose::kStopped);
  EXPECT_EQ(out.stats().in_flight(), 3u);
  EXPECT_EQ(p.link.remove_out(kAlias), Errc::kNotFound);
  p.link.wake(&out);
  EXPECT_TRUE(p.take(FrameType::kBatch).empty());
}

}  // namespace
}  // namespace penstock
