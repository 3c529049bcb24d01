#include "dataplane/lane/node_page.h"

#include <set>

#include "tests/dataplane/lane/test_lane.h"
#include "tests/support/fences.h"

namespace penstock {
namespace {

TEST(LaneDesk, AJoinStartsAtTheHead) {
  TestLane t(kTiny);
  t.send(1);
  t.send(2);
  const auto joined = t.desk.join(false);
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->start, 2u);
  EXPECT_EQ(t.page->marks[joined->index].start.load(), 2u);
  EXPECT_EQ(t.desk.state(joined->index), ReaderState::kReliable);
}

// A pusher sent two messages between a look of ours and the mark that it saw, or while its last
// reader left.
TEST(LaneDesk, AReaderIsOwedWhatNobodyElseGot) {
  TestLane t(kTiny);
  for (uint64_t i = 0; i < 5; i++)
    t.send(i);
  const auto joined = t.desk.join_from(3);
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->start, 3u);
  t.writer->refresh();  // as a pusher does before its next message
  uint64_t more = 0;
  while (t.send(more) == Errc::kOk)
    more++;
  EXPECT_EQ(more, t.geometry.ring_size() - 2) << "both are held for it";
  ReaderSlot& slot = t.table->slots[joined->index];
  LaneReader r({.memory = t.lane.data(),
                .geometry = t.geometry,
                .page = t.page,
                .index = joined->index,
                .generation = joined->generation,
                .slot = &slot,
                .start = joined->start});
  t.writer->attach_reader(joined->index, joined->generation, &slot, {});
  EXPECT_EQ(t.send(0), Errc::kWouldBlock);
  Message m;
  for (uint64_t position = 3; position < 5 + more; position++) {
    ASSERT_EQ(r.next(m), LaneReader::Next::kMessage) << position;
    EXPECT_EQ(m.position, position);
  }
  EXPECT_EQ(t.desk.join(false)->start, 5 + more) << "who comes now is owed nothing";
}

TEST(LaneDesk, EveryChangeIsSeenByTheGeneration) {
  TestLane t(kTiny);
  uint64_t last = t.page->generation.load();
  const auto changed = [&] { return std::exchange(last, t.page->generation.load()) != last; };
  const auto joined = *t.desk.join(true);
  EXPECT_TRUE(changed());
  t.desk.evict(joined.index);
  EXPECT_TRUE(changed());
  t.desk.leave(joined.index);
  EXPECT_TRUE(changed());
  t.desk.close(CloseReason::kNodeStopped);
  EXPECT_TRUE(changed());
}

TEST(LaneDesk, AFullPageSaysSo) {
  TestLane t(kTiny);
  for (uint32_t i = 0; i < kMaxReaders; i++)
    ASSERT_EQ(t.desk.join(false)->index, i);
  EXPECT_EQ(t.desk.join(false).error(), Errc::kFull);
  t.desk.leave(17);
  EXPECT_EQ(t.desk.join(false)->index, 17u);
  EXPECT_EQ(t.desk.readers(), kMaxReaders);
}

TEST(LaneDesk, AClosedLaneTakesNoReaders) {
  TestLane t(kTiny);
  t.desk.close(CloseReason::kPublisherDied);
  EXPECT_EQ(t.desk.join(false).error(), Errc::kClosed);
}

TEST(LaneDesk, AWriterIsFencedOnlyIfItMayStillWrite) {
  TestLane ours(kTiny), others(kTiny);
  const int before = test::fences;
  ours.desk.close(CloseReason::kPeerDown, LaneDesk::Writer::kHasLetGo);
  EXPECT_EQ(test::fences, before);
  others.desk.close(CloseReason::kPublisherDied);
  EXPECT_EQ(test::fences, before + 2);
  EXPECT_EQ(ours.desk.join(false).error(), Errc::kClosed);
}

TEST(LaneDesk, AHeaderThatMakesNoSenseTakesNoReaders) {
  TestLane t(kTiny);
  t.header->head.store(~uint64_t{0});
  EXPECT_EQ(t.desk.join(false).error(), Errc::kInvalid);
  EXPECT_EQ(t.desk.state(0), ReaderState::kFree);
  EXPECT_EQ(t.desk.readers(), 0u);
}

TEST(LaneDesk, TheMarkOfAnEvictedReaderIsNotGivenAway) {
  TestLane t(kTiny);
  const auto first = *t.desk.join(false);
  t.desk.evict(first.index);
  EXPECT_NE(t.desk.join(false)->index, first.index);
  t.desk.leave(first.index);
  EXPECT_EQ(t.desk.join(false)->index, first.index);
}

TEST(LaneDesk, GenerationsNeverMeet) {
  std::set<uint32_t> seen;
  for (uint64_t lane = 0; lane < 50; lane++) {
    TestLane t(kTiny);
    LaneDesk desk(t.page, t.header, lane);
    for (int i = 0; i < 50; i++) {
      const auto joined = *desk.join(false);
      EXPECT_NE(joined.generation, 0u);
      EXPECT_TRUE(seen.insert(joined.generation).second);
      desk.leave(joined.index);
    }
  }
}

TEST(LaneDesk, AllMarksCanBeEvictedWhileTheWriterLooks) {
  TestLane t(kTiny);
  for (uint32_t i = 0; i < kMaxReaders; i++)
    t.join();
  EXPECT_TRUE(t.writer->has_readers());
  EXPECT_EQ(t.writer->reader_count(), kMaxReaders);
  for (uint32_t i = 0; i < kMaxReaders; i++)
    t.desk.evict(i);
  EXPECT_FALSE(t.writer->has_readers());
}

TEST(DelayCounts, AreByPowersOfTwoOfAMicrosecond) {
  const auto bucket = [](uint64_t ns) {
    DelayCounts d{};
    d.count(ns);
    uint32_t i = 0;
    while (i < kDelayBuckets && d.buckets[i].load() == 0)
      i++;
    return i;
  };
  EXPECT_EQ(bucket(0), 0u);
  EXPECT_EQ(bucket(1000), 0u);
  EXPECT_EQ(bucket(1001), 1u);
  EXPECT_EQ(bucket(2000), 1u);
  EXPECT_EQ(bucket(2001), 2u);
  EXPECT_EQ(bucket((uint64_t{1} << 23) * 1000), 23u);
  EXPECT_EQ(bucket((uint64_t{1} << 23) * 1000 + 1), kDelayBuckets - 1);
  EXPECT_EQ(bucket(~uint64_t{0}), kDelayBuckets - 1);
}

}  // namespace
}  // namespace penstock
