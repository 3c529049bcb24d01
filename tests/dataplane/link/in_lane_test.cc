// What a receiver does with what comes for a mirror, in any order and from anybody.
#include "dataplane/link/in_lane.h"

#include <gtest/gtest.h>
#include <numeric>

#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::Bytes;
using test::ScriptedPeer;
using test::TestLane;
using test::text_of;

constexpr LaneGeometry kMirror{.ring_log2 = 3, .arena_log2 = 12, .topics = 2};  // 8 messages, 4 KiB
constexpr uint32_t kAlias = 5;
constexpr uint32_t kEpoch = 3;

class InLaneTest : public ::testing::Test {
 protected:
  InLaneTest() : mirror(kMirror), reader(mirror.read()), in(kAlias, kEpoch, mirror.writer(), 42) {
    p.connect();
    EXPECT_EQ(p.link.add_in(&in), Errc::kOk);
  }

  static BatchHeader at(uint64_t position, uint64_t arena) {
    return {.alias = kAlias,
            .epoch = kEpoch,
            .position = position,
            .arena_position = arena,
            .source = position + 1000};
  }
  static FragmentHeader piece(uint64_t offset, uint32_t len, uint64_t position = 0,
                              uint64_t arena = 0) {
    return {.alias = kAlias,
            .epoch = kEpoch,
            .position = position,
            .arena_position = arena,
            .message_len = 300,
            .offset = offset,
            .source = position,
            .piece_len = len};
  }
  // Everything that the reader gets now.
  std::vector<std::string> read() {
    std::vector<std::string> out;
    Message m;
    while (reader.next(m) != LaneReader::Next::kEmpty)
      out.push_back((m.flags & kFlagGap) != 0 ? "gap " + std::to_string(m.key) : text_of(m));
    reader.release();
    return out;
  }
  // Whether the link acknowledges the last packet that the peer sent.
  bool acknowledged() {
    p.give_ping(kHopAckNow);
    for (const auto& f : p.take(FrameType::kAck))
      if (parse_ack(f.span())->ack.has(p.packet - 1)) return true;
    return false;
  }
  using Texts = std::vector<std::string>;

  ScriptedPeer p;
  TestLane mirror;
  LaneReader reader;
  InLane in;
};

TEST_F(InLaneTest, PublishesWhatComes) {
  EXPECT_EQ(p.give_batch(at(0, 0), {"one", "two"}), Drop::kNone);
  EXPECT_EQ(p.give_batch(at(2, 128), {"three"}), Drop::kNone);
  Message m;
  ASSERT_EQ(reader.next(m), LaneReader::Next::kMessage);
  EXPECT_EQ(text_of(m), "one");
  EXPECT_EQ(m.source, 1000u);
  EXPECT_EQ(m.origin, 42u);
  EXPECT_EQ(read(), (Texts{"two", "three"}));
  EXPECT_EQ(in.stats().delivered.read(), 3u);
  EXPECT_EQ(in.stats().bytes.read(), 11u);
}

TEST_F(InLaneTest, WhatComesEarlyWaitsForWhatIsBeforeIt) {
  EXPECT_EQ(p.give_batch(at(2, 128), {"three"}), Drop::kNone);
  EXPECT_EQ(p.give_batch(at(1, 64), {"two"}), Drop::kNone);
  EXPECT_TRUE(read().empty());
  EXPECT_EQ(p.give_batch(at(0, 0), {"one"}), Drop::kNone);
  EXPECT_EQ(read(), (Texts{"one", "two", "three"}));
  EXPECT_EQ(in.stats().out_of_order.read(), 2u);
}

TEST_F(InLaneTest, NothingIsPublishedTwice) {
  EXPECT_EQ(p.give_batch(at(0, 0), {"one", "two"}), Drop::kNone);
  EXPECT_EQ(p.give_batch(at(0, 0), {"one", "two"}), Drop::kDuplicate);
  EXPECT_TRUE(acknowledged());
  EXPECT_EQ(p.give_batch(at(1, 64), {"two", "three"}), Drop::kNone);  // half of it is new
  EXPECT_EQ(p.give_batch(at(4, 256), {"five"}), Drop::kNone);
  EXPECT_EQ(p.give_batch(at(4, 256), {"five"}), Drop::kDuplicate);
  EXPECT_EQ(read(), (Texts{"one", "two", "three"}));
  EXPECT_EQ(in.stats().duplicates.read(), 4u);
}

TEST_F(InLaneTest, PiecesMayComeInAnyOrder) {
  std::string text(300, 'x');
  std::iota(text.begin(), text.end(), ' ');
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  EXPECT_EQ(p.give_piece(piece(256, 44), {bytes + 256, 44}), Drop::kNone);
  EXPECT_EQ(p.give_piece(piece(0, 128), {bytes, 128}), Drop::kNone);
  EXPECT_EQ(p.give_piece(piece(0, 128), {bytes, 128}), Drop::kDuplicate);
  EXPECT_TRUE(read().empty());
  EXPECT_EQ(p.give_piece(piece(128, 128), {bytes + 128, 128}), Drop::kNone);
  EXPECT_EQ(p.give_piece(piece(128, 128), {bytes + 128, 128}), Drop::kDuplicate);
  EXPECT_EQ(read(), (Texts{text}));
}

// The path became narrower or wider meanwhile, and the old pieces were not lost after all.
TEST_F(InLaneTest, PiecesMayBeCutAnew) {
  std::string text(300, 'x');
  std::iota(text.begin(), text.end(), ' ');
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  EXPECT_EQ(p.give_piece(piece(64, 64), {bytes + 64, 64}), Drop::kNone);
  EXPECT_EQ(p.give_piece(piece(0, 192), {bytes, 192}), Drop::kNone);
  EXPECT_EQ(p.give_piece(piece(128, 64), {bytes + 128, 64}), Drop::kDuplicate);
  EXPECT_TRUE(read().empty());
  EXPECT_EQ(p.give_piece(piece(128, 172), {bytes + 128, 172}), Drop::kNone);
  EXPECT_EQ(read(), (Texts{text}));
  EXPECT_EQ(in.stats().duplicates.read(), 1u);
}

TEST_F(InLaneTest, AMessageInPiecesWaitsForWhatIsBeforeIt) {
  const Bytes bytes(300);
  EXPECT_EQ(p.give_piece(piece(0, 300, 1, 64), bytes), Drop::kNone);
  EXPECT_TRUE(read().empty());
  EXPECT_EQ(in.stats().out_of_order.read(), 1u);
  EXPECT_EQ(in.stats().delivered.read(), 0u);
  EXPECT_EQ(p.give_batch(at(0, 0), {"one"}), Drop::kNone);
  EXPECT_EQ(read().size(), 2u);
  EXPECT_EQ(in.stats().delivered.read(), 2u);
}

TEST_F(InLaneTest, PiecesOfOneMessageMustAgree) {
  const Bytes bytes(300);
  ASSERT_EQ(p.give_piece(piece(0, 128), {bytes.data(), 128}), Drop::kNone);
  EXPECT_EQ(p.give_piece(piece(128, 128, 0, 64), {bytes.data(), 128}), Drop::kBadFrame);
  EXPECT_FALSE(acknowledged());
  auto other = piece(128, 128);
  other.message_len = 301;
  EXPECT_EQ(p.give_piece(other, {bytes.data(), 128}), Drop::kBadFrame);
  EXPECT_EQ(p.give_piece(piece(128, 100), {bytes.data(), 100}), Drop::kBadFrame);  // cuts a block
  EXPECT_EQ(p.give_batch(at(0, 0), {"whole"}), Drop::kBadFrame);
}

TEST_F(InLaneTest, APieceBeyondTheRingOrTheArenaIsRefused) {
  const Bytes bytes(128);
  EXPECT_EQ(p.give_piece(piece(0, 128, 8), {bytes.data(), 128}), Drop::kNoCredit);
  EXPECT_EQ(p.give_piece(piece(0, 128, 1, 4096), {bytes.data(), 128}), Drop::kNoCredit);
  EXPECT_EQ(p.give_piece(piece(0, 128, 1, 3840), {bytes.data(), 128}), Drop::kBadFrame);  // wraps
  auto huge = piece(0, 128);
  huge.message_len = 5000;
  EXPECT_EQ(p.give_piece(huge, {bytes.data(), 128}), Drop::kBadFrame);
  EXPECT_FALSE(acknowledged());
}

TEST_F(InLaneTest, ABatchBeyondTheRingIsRefused) {
  EXPECT_EQ(p.give_batch(at(8, 512), {"x"}), Drop::kNoCredit);
  EXPECT_FALSE(acknowledged());
  // The first eight fit, the ninth does not, until the reader has let go and the peer was told.
  EXPECT_EQ(p.give_batch(at(0, 0), {"1", "2", "3", "4", "5", "6", "7", "8", "9"}), Drop::kNoCredit);
  EXPECT_EQ(read().size(), 8u);
  EXPECT_EQ(p.give_batch(at(8, 512), {"9"}), Drop::kNoCredit);
  EXPECT_FALSE(acknowledged());  // but it grants what was let go of
  EXPECT_EQ(p.give_batch(at(8, 512), {"9"}), Drop::kNone);
  EXPECT_EQ(read(), (Texts{"9"}));
}

TEST_F(InLaneTest, APlaceAgainstTheArithmeticIsRefused) {
  EXPECT_EQ(p.give_batch(at(0, 64), {"x"}), Drop::kBadFrame);
  EXPECT_EQ(p.give_batch(at(0, 1), {"x"}), Drop::kBadFrame);
  EXPECT_EQ(p.give_batch(at(1, ~uint64_t{63}), {"x"}), Drop::kNoCredit);
  EXPECT_EQ(p.give_batch(at(1, 4096), {"x"}), Drop::kNoCredit);
  EXPECT_EQ(p.give_batch(at(~uint64_t{0} / 2, 64), {"x"}), Drop::kNoCredit);
  EXPECT_TRUE(read().empty());
}

TEST_F(InLaneTest, AWrongPlaceThatShowsLaterBecomesAGap) {
  EXPECT_EQ(p.give_batch(at(1, 0), {"two"}), Drop::kNone);  // where "one" goes
  EXPECT_EQ(p.give_batch(at(0, 0), {"one"}), Drop::kNone);
  EXPECT_EQ(p.give_batch(at(2, 128), {"three"}), Drop::kNone);
  EXPECT_EQ(read(), (Texts{"one", "gap 1", "three"}));
  EXPECT_EQ(in.stats().malformed.read(), 1u);
}

TEST_F(InLaneTest, ATopicThatTheMirrorHasNotIsRefused) {
  Bytes body(200);
  BatchWriter w(at(0, 0), body);
  w.append({.len = 0, .topic = 2, .source = 1000});
  body.resize(w.size());
  EXPECT_EQ(p.give(FrameType::kBatch, body), Drop::kBadFrame);
}

TEST_F(InLaneTest, AGapIsPassedOn) {
  Bytes body(200);
  BatchWriter w(at(0, 0), body);
  w.append({.parts = static_cast<uint8_t>(Drop::kOverrun), .gap = true, .key = 7, .source = 1000});
  body.resize(w.size());
  EXPECT_EQ(p.give(FrameType::kBatch, body), Drop::kNone);
  Message m;
  EXPECT_EQ(reader.next(m), LaneReader::Next::kGap);
  EXPECT_EQ(m.key, 7u);
  EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kOverrun));
  EXPECT_EQ(in.stats().gaps.read(), 1u);
}

TEST_F(InLaneTest, AGapWithAReasonThatIsNoneIsRefused) {
  Bytes body(200);
  BatchWriter w(at(0, 0), body);
  w.append({.parts = 200, .gap = true, .key = 7, .source = 1000});
  body.resize(w.size());
  EXPECT_EQ(p.give(FrameType::kBatch, body), Drop::kBadFrame);
}

TEST_F(InLaneTest, AGapMayStandForAMessageOfWhichPiecesCame) {
  const Bytes bytes(128);
  ASSERT_EQ(p.give_piece(piece(128, 128), bytes), Drop::kNone);
  Bytes body(200);
  BatchWriter w(at(0, 0), body);
  w.append({.parts = static_cast<uint8_t>(Drop::kMalformed),
            .gap = true,
            .time = 300,  // of the arena
            .key = 1,
            .source = 1000});
  body.resize(w.size());
  EXPECT_EQ(p.give(FrameType::kBatch, body), Drop::kNone);
  EXPECT_EQ(p.give_piece(piece(0, 128), bytes), Drop::kDuplicate);
  EXPECT_EQ(p.give_batch(at(1, 320), {"next"}), Drop::kNone);
  EXPECT_EQ(read(), (Texts{"gap 1", "next"}));
}

TEST_F(InLaneTest, AMessageAsLargeAsTheArenaFitsAnEmptyMirror) {
  ASSERT_EQ(p.give_batch(at(0, 0), {"small"}), Drop::kNone);
  ASSERT_EQ(read(), (Texts{"small"}));
  EXPECT_FALSE(p.give_ping(kHopAckNow) != Drop::kNone);
  p.take();  // grants
  // Its place is the start of the arena: all of the arena but the first block is skipped.
  const Bytes bytes(1024);
  FragmentHeader h = piece(0, 1024, 1, 4096);
  h.message_len = 4096;
  for (h.offset = 0; h.offset < 4096; h.offset += 1024)
    EXPECT_EQ(p.give_piece(h, bytes), Drop::kNone);
  EXPECT_EQ(read().size(), 1u);
}

TEST_F(InLaneTest, CreditSaysHowFarTheReadersAre) {
  ASSERT_EQ(p.give_batch(at(0, 0), {"one", "two", "three"}), Drop::kNone);
  Message m;
  reader.next(m);
  reader.next(m);
  reader.release();
  p.give_ping(kHopAckNow);
  const auto acks = p.take(FrameType::kAck);
  ASSERT_EQ(acks.size(), 1u);
  const auto a = parse_ack(acks[0].span());
  ASSERT_EQ(a->credits.size(), 1u);
  EXPECT_EQ(a->credits[0], (Credit{kAlias, kEpoch, 2, 128}));
}

TEST_F(InLaneTest, CreditIsToldUnaskedWhenTheReadersLetGo) {
  ASSERT_EQ(p.give_batch(at(0, 0), {"1", "2", "3", "4", "5", "6", "7", "8"}), Drop::kNone);
  p.now += 30'000;
  ASSERT_EQ(p.take(FrameType::kAck).size(), 1u);
  for (int i = 0; i < 100; i++) {
    p.now += 20'000;
    EXPECT_TRUE(p.take().empty()) << "nothing was let go of";
  }
  read();
  size_t acks = 0;
  for (int i = 0; i < 1000; i++) {
    p.now = std::min(p.link.next_deadline(), p.now + 10'000);
    acks += p.take(FrameType::kAck).size();
  }
  EXPECT_EQ(acks, 1u);
}

TEST_F(InLaneTest, ALaneThatIsNotThereIsNotAcknowledged) {
  auto h = at(0, 0);
  h.alias = 6;
  EXPECT_EQ(p.give_batch(h, {"x"}), Drop::kNoLane);
  EXPECT_FALSE(acknowledged());
  h = at(0, 0);
  h.epoch = kEpoch + 1;  // of a lane to come
  EXPECT_EQ(p.give_batch(h, {"x"}), Drop::kNoLane);
  EXPECT_FALSE(acknowledged());
}

TEST_F(InLaneTest, ALaneThatWasRemovedIsAcknowledgedAndForgotten) {
  EXPECT_EQ(p.link.remove_in(kAlias), Errc::kOk);
  EXPECT_EQ(p.give_batch(at(0, 0), {"x"}), Drop::kNone);
  EXPECT_TRUE(acknowledged());
  EXPECT_EQ(p.drops(Drop::kNoLane), 1u);
  EXPECT_TRUE(read().empty());
}

TEST_F(InLaneTest, AnAliasUsedAgainHasALaterEpoch) {
  TestLane other(kMirror, 7);
  InLane same(kAlias, kEpoch, other.writer(), 42);
  InLane next(kAlias, kEpoch + 1, other.writer(), 42);
  EXPECT_EQ(p.link.add_in(&next), Errc::kBusy);
  p.link.remove_in(kAlias);
  EXPECT_EQ(p.link.add_in(&same), Errc::kBusy);
  EXPECT_EQ(p.link.add_in(&next), Errc::kOk);
  EXPECT_EQ(p.give_batch(at(0, 0), {"old"}), Drop::kNone);  // forgotten
  EXPECT_EQ(next.stats().delivered.read(), 0u);
}

TEST_F(InLaneTest, ARecordThatIsCutOffIsRefusedAndWhatCameBeforeStands) {
  Bytes body(200);
  BatchWriter w(at(0, 0), body);
  w.append({.source = 1000});
  w.append({.source = 1001});
  body.resize(w.size() - 3);
  EXPECT_EQ(p.give(FrameType::kBatch, body), Drop::kBadFrame);
  EXPECT_FALSE(acknowledged());
  EXPECT_EQ(read().size(), 1u);
}

}  // namespace
}  // namespace penstock
