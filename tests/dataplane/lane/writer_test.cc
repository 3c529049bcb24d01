#include "dataplane/lane/writer.h"

#include <array>
#include <string>

#include "tests/dataplane/lane/test_lane.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;

TEST(LaneWriter, ALoanIsSeenOnlyOnceCommitted) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  Message m;
  std::byte* to = t.writer->loan(5);
  ASSERT_NE(to, nullptr);
  std::memcpy(to, "hello", 5);
  EXPECT_EQ(r.next(m), Next::kEmpty);
  EXPECT_EQ(t.writer->commit({.topic = 0, .time_ns = 7, .key = 8}), 0u);
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_EQ(m.data, to);
  EXPECT_EQ(m.len, 5u);
  EXPECT_EQ(m.time_ns, 7u);
  EXPECT_EQ(m.key, 8u);
  EXPECT_EQ(m.source, 0u);
  EXPECT_EQ(m.origin, TestLane::kLaneId);
}

TEST(LaneWriter, CommitMayPublishLessThanWasLoaned) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  ASSERT_NE(t.writer->loan(1000), nullptr);
  t.writer->commit({}, 10);
  Message m;
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_EQ(m.len, 10u);
}

TEST(LaneWriter, ASecondLoanReplacesTheFirst) {
  TestLane t(kTiny);
  std::byte* first = t.writer->loan(100);
  EXPECT_EQ(t.writer->loan(200), first);
}

TEST(LaneWriter, LoansAreAlignedAndInPlace) {
  TestLane t(kTiny);
  for (uint64_t len : {1u, 63u, 64u, 65u, 700u}) {
    std::byte* to = t.writer->loan(len);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(to) % kArenaAlign, 0u);
    t.writer->commit({});
  }
}

TEST(LaneWriter, NobodyReadsThenNothingBlocks) {
  TestLane t(kTiny);
  for (uint64_t i = 0; i < 100; i++)
    EXPECT_EQ(t.send_bytes(i * 40), Errc::kOk);
  EXPECT_EQ(t.writer->head(), 100u);
}

TEST(LaneWriter, AFullRingBlocksUntilAReaderLetsGo) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  for (uint64_t i = 0; i < 4; i++)
    EXPECT_EQ(t.send(i), Errc::kOk);
  EXPECT_EQ(t.send(4), Errc::kWouldBlock);
  Message m;
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_EQ(t.send(4), Errc::kWouldBlock);
  r.release();
  EXPECT_EQ(t.send(4), Errc::kOk);
  EXPECT_EQ(t.send(5), Errc::kWouldBlock);
}

TEST(LaneWriter, AFullArenaBlocksUntilAReaderLetsGo) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  EXPECT_EQ(t.send_bytes(2048), Errc::kOk);
  EXPECT_EQ(t.send_bytes(2048), Errc::kOk);
  EXPECT_EQ(t.send_bytes(1), Errc::kWouldBlock);
  EXPECT_EQ(t.send_bytes(0), Errc::kOk);
  r.release_to(1);
  EXPECT_EQ(t.send_bytes(2048), Errc::kOk);
}

TEST(LaneWriter, AMessageThatWouldStraddleTheEndStartsAtTheBeginning) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  std::byte* first = t.writer->loan(3000);
  t.writer->commit({});
  EXPECT_EQ(t.writer->loan(3000), nullptr);
  r.release_to(1);
  EXPECT_EQ(t.writer->loan(3000), first);
}

TEST(LaneWriter, TheWholeArenaIsOneMessageAtMost) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  EXPECT_EQ(t.send_bytes(4096), Errc::kOk);
  r.release_to(1);
  EXPECT_EQ(t.send_bytes(4097), Errc::kTooBig);
  for (const uint64_t len : {uint64_t{1} << 40, ~uint64_t{0}, ~uint64_t{0} - 63, ~uint64_t{0} - 64})
    EXPECT_EQ(t.writer->loan(len), nullptr);
  EXPECT_EQ(t.send_bytes(4096), Errc::kOk);
}

TEST(LaneWriter, AnEmptyLaneTakesAnyMessageThatFitsHoweverItsArenaIsFilled) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  for (uint64_t i = 0; i < 64; i++) {
    EXPECT_EQ(t.send_bytes(i * 64 + 1), Errc::kOk);
    EXPECT_EQ(t.send_bytes(4096), Errc::kWouldBlock);
    r.release_to(t.writer->head());
  }
}

TEST(LaneWriter, TheSlowestReliableReaderCounts) {
  TestLane t(kTiny);
  LaneReader quick = t.join();
  LaneReader slow = t.join();
  for (uint64_t i = 0; i < 4; i++)
    t.send(i);
  quick.release_to(4);
  slow.release_to(1);
  EXPECT_EQ(t.send(4), Errc::kOk);
  EXPECT_EQ(t.send(5), Errc::kWouldBlock);
  EXPECT_EQ(t.writer->look_at_readers().position, 1u);
}

TEST(LaneWriter, ALossyReaderHoldsNobodyBack) {
  TestLane t(kTiny);
  t.join(true);
  for (uint64_t i = 0; i < 100; i++)
    EXPECT_EQ(t.send(i), Errc::kOk);
}

TEST(LaneWriter, AReaderThatLeftOrWasEvictedHoldsNobodyBack) {
  TestLane t(kTiny);
  LaneReader leaves = t.join();
  LaneReader evicted = t.join();
  for (uint64_t i = 0; i < 4; i++)
    t.send(i);
  EXPECT_EQ(t.send(4), Errc::kWouldBlock);
  t.leave(leaves);
  EXPECT_EQ(t.send(4), Errc::kWouldBlock);
  t.desk.evict(evicted.join().index);
  for (uint64_t i = 4; i < 20; i++)
    EXPECT_EQ(t.send(i), Errc::kOk);
}

TEST(LaneWriter, AReaderHoldsFromItsStartBeforeItsSlotIsKnown) {
  TestLane t(kTiny);
  t.send(0);
  const LaneReader::Join j = t.join_only();
  EXPECT_EQ(j.start, 1u);
  for (uint64_t i = 1; i < 5; i++)
    EXPECT_EQ(t.send(i), Errc::kOk);
  EXPECT_EQ(t.send(5), Errc::kWouldBlock);
  LaneReader r(j);
  Message m;
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_EQ(value_of(m), 1u);
  r.release();
  EXPECT_EQ(t.send(5), Errc::kWouldBlock);  // the writer cannot see the slot yet
  t.writer->attach_reader(j.index, j.generation, j.slot, {});
  EXPECT_EQ(t.send(5), Errc::kOk);
}

TEST(LaneWriter, ASlotOfAnEarlierJoinIsNotBelieved) {
  TestLane t(kTiny);
  LaneReader old = t.join();
  for (uint64_t i = 0; i < 4; i++)
    t.send(i);
  old.release_to(4);
  t.leave(old);
  const LaneReader::Join j = t.join_only();
  ASSERT_EQ(j.slot, old.join().slot);
  t.writer->attach_reader(j.index, j.generation, j.slot, {});
  for (uint64_t i = 4; i < 8; i++)
    EXPECT_EQ(t.send(i), Errc::kOk);
  old.release_to(8);
  EXPECT_EQ(t.send(8), Errc::kWouldBlock);
}

TEST(LaneWriter, APositionBeyondTheHeadIsALie) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  for (uint64_t i = 0; i < 4; i++)
    t.send(i);
  r.release_to(5);
  EXPECT_EQ(t.send(4), Errc::kWouldBlock);
  EXPECT_GT(t.writer->lies(), 0u);
  r.release_to(2);
  EXPECT_EQ(t.send(4), Errc::kOk);
}

TEST(LaneWriter, APositionThatGoesBackIsIgnored) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  for (uint64_t i = 0; i < 4; i++)
    t.send(i);
  r.release_to(3);
  EXPECT_EQ(t.writer->look_at_readers().position, 3u);
  r.release_to(0);
  EXPECT_EQ(t.writer->look_at_readers().position, 3u);
}

TEST(LaneWriter, TopicsAreAppendedUntilTheTableIsFull) {
  TestLane t(kTiny);
  EXPECT_EQ(*t.writer->add_topic("grad.layer1"), 1u);
  EXPECT_EQ(*t.writer->add_topic(std::string(255, 'x')), 2u);
  EXPECT_EQ(t.writer->add_topic("").error(), Errc::kBadTopic);
  EXPECT_EQ(t.writer->add_topic(std::string(256, 'x')).error(), Errc::kBadTopic);
  EXPECT_EQ(*t.writer->add_topic("d"), 3u);
  EXPECT_EQ(t.writer->add_topic("e").error(), Errc::kFull);
  EXPECT_EQ(t.writer->topic_count(), 4u);
}

TEST(LaneWriter, PartsArriveAsTheyWere) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  const std::string a = "first";
  const std::string b;
  const std::string c = "the third part";
  const std::array parts = {std::as_bytes(std::span(a)), std::as_bytes(std::span(b)),
                            std::as_bytes(std::span(c))};
  ASSERT_EQ(t.writer->send_parts({}, parts), Errc::kOk);
  Message m;
  ASSERT_EQ(r.next(m), Next::kMessage);
  ASSERT_EQ(m.parts, 3u);
  for (uint32_t i = 0; i < 3; i++) {
    const auto got = part(m, i);
    ASSERT_EQ(got.size(), parts[i].size());
    EXPECT_TRUE(std::equal(got.begin(), got.end(), parts[i].begin()));
  }
  EXPECT_TRUE(part(m, 3).empty());
}

TEST(LaneWriter, NoPartsOrTooManyAreInvalid) {
  TestLane t(kTiny);
  EXPECT_EQ(t.writer->send_parts({}, {}), Errc::kInvalid);
  const std::vector<std::span<const std::byte>> many(65536);
  EXPECT_EQ(t.writer->send_parts({}, many), Errc::kInvalid);
  const std::vector<std::span<const std::byte>> big(65535);
  EXPECT_EQ(t.writer->send_parts({}, big), Errc::kTooBig);
}

TEST(LaneWriter, AWriterThatTakesOverGoesOnWhereTheLastOneStopped) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  t.send(10);
  t.send(11);
  t.header->head.store(1);  // it died between stamping the second and counting it
  t.writer = std::make_unique<LaneWriter>(t.lane.data(), t.geometry, t.page);
  t.writer->attach_reader(r.join().index, r.join().generation, r.join().slot, {});
  EXPECT_EQ(t.writer->topic_count(), 1u);
  EXPECT_EQ(t.send(12), Errc::kOk);
  Message m;
  for (uint64_t i = 10; i < 13; i++) {
    ASSERT_EQ(r.next(m), Next::kMessage);
    EXPECT_EQ(value_of(m), i);
  }
  EXPECT_EQ(r.next(m), Next::kEmpty);
}

TEST(LaneWriter, PlacedBytesArePublishedInOrderAndKeepTheirOrigin) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  std::memcpy(t.writer->at(64, 6), "second", 6);
  std::memcpy(t.writer->at(0, 5), "first", 5);
  Message m;
  EXPECT_EQ(r.next(m), Next::kEmpty);
  t.writer->publish_quietly({}, 0, 5, 41, 9);
  EXPECT_EQ(t.header->head.load(), 0u);
  t.writer->publish_quietly({}, 64, 6, 42, 9);
  t.writer->flush();
  EXPECT_EQ(t.header->head.load(), 2u);
  for (const uint64_t source : {41u, 42u}) {
    ASSERT_EQ(r.next(m), Next::kMessage);
    EXPECT_EQ(m.source, source);
    EXPECT_EQ(m.origin, 9u);
  }
  EXPECT_EQ(t.writer->fill(), 128u);
}

TEST(LaneWriter, PlacingBytesTellsLossyReadersFirst) {
  TestLane t(kTiny);
  LaneReader r = t.join(true);
  t.send_bytes(1024);
  Message m;
  std::array<std::byte, 1024> copy;
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_TRUE(r.copy(m, copy.data()));
  t.writer->at(4096, 64);  // a fragment that came early, a lap ahead
  EXPECT_FALSE(r.copy(m, copy.data()));
}

}  // namespace
}  // namespace penstock
