#include "dataplane/lane/reader.h"

#include <array>
#include <string>

#include "dataplane/base/drop.h"
#include "tests/dataplane/lane/test_lane.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;

TEST(LaneReader, SeesWhatIsPublishedAfterItJoined) {
  TestLane t(kTiny);
  t.send(1);
  LaneReader r = t.join();
  Message m;
  EXPECT_EQ(r.next(m), Next::kEmpty);
  EXPECT_FALSE(r.ready());
  t.send(2);
  EXPECT_TRUE(r.ready());
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_EQ(m.position, 1u);
  EXPECT_EQ(value_of(m), 2u);
}

TEST(LaneReader, KeepsItsBytesUntilItReleases) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  t.send(1);
  Message m;
  ASSERT_EQ(r.next(m), Next::kMessage);
  while (t.send(2) == Errc::kOk) {
  }
  EXPECT_EQ(value_of(m), 1u);
  EXPECT_EQ(r.released(), 0u);
  EXPECT_EQ(r.position(), 1u);
  EXPECT_EQ(r.lag(), 3u);
}

TEST(LaneReader, LooksAgainAtWhatItHasNotReleased) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  t.send(10);
  t.send(11);
  Message m;
  EXPECT_TRUE(r.look(1, m));
  EXPECT_EQ(value_of(m), 11u);
  EXPECT_EQ(m.position, 1u);
  EXPECT_FALSE(r.look(2, m));
  EXPECT_EQ(r.position(), 0u);
}

TEST(LaneReader, ALappedLossyReaderIsToldExactlyWhatItMissed) {
  TestLane t(kTiny);
  LaneReader r = t.join(true);
  for (uint64_t i = 0; i < 10; i++)
    t.send(i);
  Message m;
  ASSERT_EQ(r.next(m), Next::kGap);
  EXPECT_EQ(m.position, 0u);
  EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kOverrun));
  uint64_t delivered = 0;
  const uint64_t missed = m.key;
  while (r.next(m) == Next::kMessage) {
    EXPECT_EQ(value_of(m), missed + delivered);
    delivered++;
  }
  EXPECT_EQ(missed + delivered, 10u);
  EXPECT_GT(delivered, 0u);
}

TEST(LaneReader, ALossyCopyIsWholeOrRefused) {
  TestLane t({.ring_log2 = 10, .arena_log2 = 12, .topics = 1});
  LaneReader r = t.join(true);
  t.send_bytes(1024);
  Message m;
  std::array<std::byte, 1024> copy;
  ASSERT_EQ(r.next(m), Next::kMessage);
  for (int i = 0; i < 2; i++)
    t.send_bytes(1024);
  EXPECT_TRUE(r.copy(m, copy.data()));
  for (int i = 0; i < 2; i++)
    t.send_bytes(1024);
  EXPECT_FALSE(r.copy(m, copy.data()));
}

TEST(LaneReader, ALossyReaderCanCopyAMessageAsLargeAsTheArena) {
  TestLane t(kTiny);
  LaneReader r = t.join(true);
  Message m;
  std::vector<std::byte> copy(4096);
  for (int i = 0; i < 10; i++) {
    t.send_bytes(4096);
    ASSERT_EQ(r.next(m), Next::kMessage);
    EXPECT_TRUE(r.copy(m, copy.data()));
  }
}

TEST(LaneReader, AWriterThatDiedInALapAheadIsNotTheEnd) {
  TestLane t(kTiny);
  LaneReader r = t.join(true);
  for (uint64_t i = 0; i < 4; i++)
    t.send(i);
  t.descriptor(4).stamp.store(0);  // it was writing message 4 over message 0
  t.desk.close(CloseReason::kPublisherDied);
  Message m;
  EXPECT_FALSE(r.finished());
  uint64_t seen = 0;
  for (int i = 0; i < 10 && !r.finished(); i++) {
    const Next n = r.next(m);
    ASSERT_NE(n, Next::kEmpty);
    seen += n == Next::kGap ? m.key : 1;
  }
  EXPECT_EQ(seen, 4u);
}

TEST(LaneReader, ClosedIsFinishedOnlyWhenAllWasReturned) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  t.send(1);
  t.desk.close(CloseReason::kPublisherLeft);
  EXPECT_FALSE(r.finished());
  Message m;
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_TRUE(r.finished());
}

TEST(LaneReader, LearnsThatItWasEvicted) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  EXPECT_FALSE(r.evicted());
  t.desk.evict(r.join().index);
  EXPECT_TRUE(r.evicted());
  for (uint64_t i = 0; i < 10; i++)
    t.send(i);
  Message m;
  ASSERT_EQ(r.next(m), Next::kGap);
  EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kEvicted));
}

TEST(LaneReader, AMarkThatWasGivenToAnotherIsAnEvictionToo) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  t.leave(r);
  LaneReader other = t.join();
  ASSERT_EQ(other.join().index, r.join().index);
  EXPECT_TRUE(r.evicted());
  EXPECT_FALSE(other.evicted());
}

TEST(LaneReader, ReadsTopicNames) {
  TestLane t(kTiny);
  const std::string longest(255, 'y');
  ASSERT_TRUE(t.writer->add_topic(longest).ok());
  const LaneReader r = t.join();
  std::array<char, 255> name;
  EXPECT_EQ(r.topic_name(0, name), "a");
  EXPECT_EQ(r.topic_name(1, name), longest);
  EXPECT_EQ(r.topic_name(2, name), "");
  EXPECT_EQ(r.topic_name(4, name), "");
  EXPECT_EQ(r.topic_name(~0u, name), "");
  EXPECT_EQ(r.topic_name(0, std::span(name).first(254)), "");
}

TEST(LaneReader, AGapNoticeComesAsAGapWithoutBytes) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  t.writer->publish_quietly(
      {.parts = static_cast<uint16_t>(Drop::kPeerDown), .flags = kFlagGap, .key = 12}, 0, 0, 5, 6);
  t.writer->flush();
  Message m;
  ASSERT_EQ(r.next(m), Next::kGap);
  EXPECT_EQ(m.key, 12u);
  EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kPeerDown));
  EXPECT_EQ(m.source, 5u);
  EXPECT_EQ(m.len, 0u);
  EXPECT_EQ(r.position(), 1u);
  EXPECT_EQ(r.join().slot->malformed.load(), 1u);
}

// Each row is one thing that a publisher could write and that makes no sense.
TEST(LaneReader, AMessageThatWasCopiedSaysSo) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  t.send(1);
  t.descriptor(0).shape.set(pack_shape(shape_len(t.descriptor(0).shape.get()), 0, kFlagCopied));
  LaneReader::Plain plain;
  EXPECT_FALSE(r.next_plain(0, plain)) << "so that nobody takes it for one of many";
  Message m;
  ASSERT_EQ(r.next(m), Next::kMessage);
  EXPECT_EQ(m.flags, kFlagCopied);
  EXPECT_EQ(value_of(m), 1u);
}

TEST(LaneReader, ADescriptorThatMakesNoSenseIsAGapOfOne) {
  const auto spoil = std::to_array<void (*)(Descriptor&, Extra&)>({
      [](Descriptor& d, Extra&) { d.shape.set(pack_shape(4097, 0, 0)); },
      [](Descriptor& d, Extra&) { d.shape.set(pack_shape((uint64_t{1} << 40) - 1, 0, 0)); },
      [](Descriptor& d, Extra&) { d.arena_pos.set(64), d.shape.set(pack_shape(4096, 0, 0)); },
      [](Descriptor& d, Extra&) { d.arena_pos.set(~uint64_t{0}), d.shape.set(2); },
      [](Descriptor& d, Extra&) { d.shape.set(pack_shape(1, 4, 0)); },
      [](Descriptor& d, Extra& e) { d.shape.set(pack_shape(1, 0, kFlagExtra)), e.parts.set(0); },
      [](Descriptor& d, Extra& e) {
        d.shape.set(pack_shape(1, 0, kFlagExtra)), e.parts.set(1 << 16);
      },
      [](Descriptor& d, Extra&) { d.shape.set(pack_shape(1, 0, 4)); },
      [](Descriptor& d, Extra& e) {
        d.shape.set(pack_shape(1, 0, kFlagGap | kFlagExtra)), e.parts.set(kDrops);
      },
  });
  for (size_t i = 0; i < spoil.size(); i++) {
    TestLane t(kTiny);
    LaneReader r = t.join();
    t.send(1);
    t.send(2);
    spoil[i](t.descriptor(0), t.extra(0));
    Message m;
    ASSERT_EQ(r.next(m), Next::kGap) << i;
    EXPECT_EQ(m.key, 1u);
    EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kMalformed));
    EXPECT_EQ(r.join().slot->malformed.load(), 1u);
    ASSERT_EQ(r.next(m), Next::kMessage);
    EXPECT_EQ(value_of(m), 2u);
  }
}

TEST(LaneReader, ArmsAndDisarmsOnce) {
  TestLane t(kTiny);
  LaneReader r = t.join();
  EXPECT_FALSE(r.armed());
  r.arm();
  const uint64_t armed = r.join().slot->armed.load();
  r.arm();
  EXPECT_EQ(r.join().slot->armed.load(), armed);
  EXPECT_TRUE(r.armed());
  r.disarm();
  r.disarm();
  EXPECT_FALSE(r.armed());
  r.arm();
  EXPECT_NE(r.join().slot->armed.load(), armed);
}

}  // namespace
}  // namespace penstock
