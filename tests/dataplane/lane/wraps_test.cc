// Counters of a lane from just below where they wrap, or where somebody might have kept too few
// bits.
#include <array>
#include <utility>

#include "tests/dataplane/lane/test_lane.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;

// A lane that has lived for long.
void begin_at(TestLane& t, uint64_t head, uint64_t fill) {
  t.header->head.store(head);
  t.header->reserved.store(fill);
  t.writer = std::make_unique<LaneWriter>(t.lane.data(), t.geometry, t.page);
}

TEST(LaneWraps, PositionsAndArena) {
  constexpr uint64_t kOne = 1;
  for (const uint64_t head : {kOne << 16, kOne << 32, kOne << 40, kMaxPosition - 60}) {
    for (const uint64_t fill : {kOne << 16, kOne << 32, kOne << 40, kOne << 63}) {
      TestLane t(kTiny);
      begin_at(t, head - 30, fill - 30 * 512);
      LaneReader reliable = t.join();
      LaneReader lossy = t.join(true);
      Message m;
      for (uint64_t i = 0; i < 60; i++) {
        std::array<uint64_t, 64> bytes;  // four fill the ring
        bytes.fill(i);
        ASSERT_EQ(t.send(std::as_bytes(std::span(bytes))), Errc::kOk) << head << " " << fill;
        if (i % 4 != 3) continue;
        ASSERT_EQ(t.send(i), Errc::kWouldBlock) << "the ring is full";
        for (LaneReader* r : {&reliable, &lossy}) {
          for (uint64_t k = i - 3; k <= i; k++) {
            ASSERT_EQ(r->next(m), Next::kMessage) << head << " " << fill << " " << k;
            ASSERT_EQ(m.position, head - 30 + k);
            ASSERT_EQ(value_of(m), k);
            ASSERT_TRUE(r->look(m.position, m));
            ASSERT_TRUE(r != &lossy || r->copy(m, reinterpret_cast<std::byte*>(bytes.data())));
          }
          ASSERT_EQ(r->next(m), Next::kEmpty);
          ASSERT_EQ(r->lag(), 0u);
          r->release();
        }
      }
      EXPECT_EQ(t.writer->lies(), 0u);
    }
  }
}

// A lossy reader that is lapped there, and whose bytes are overwritten under its eyes.
TEST(LaneWraps, OverrunIsNoticed) {
  constexpr uint64_t kOne = 1;
  for (const uint64_t at : {kOne << 32, kOne << 40, kMaxPosition - 100}) {
    TestLane t(kTiny);
    begin_at(t, at - 2, (kOne << 32) - 2 * 1024);
    LaneReader lossy = t.join(true);
    Message m;
    std::array<std::byte, 1024> room;
    ASSERT_EQ(t.send_bytes(1024), Errc::kOk);
    ASSERT_EQ(lossy.next(m), Next::kMessage);
    ASSERT_TRUE(lossy.copy(m, room.data()));
    for (int i = 0; i < 4; i++)
      ASSERT_EQ(t.send_bytes(1024), Errc::kOk);
    EXPECT_FALSE(lossy.copy(m, room.data())) << at;
    for (int i = 0; i < 4; i++)
      ASSERT_EQ(t.send_bytes(1024), Errc::kOk);
    ASSERT_EQ(lossy.next(m), Next::kGap);
    EXPECT_EQ(m.position, at - 1);
    ASSERT_EQ(lossy.next(m), Next::kMessage);
    EXPECT_GT(m.position, at);
  }
}

// Joins are told apart by 32 bits, of which 0 is nobody's.
TEST(LaneWraps, Generations) {
  // The lane id whose generations begin at 2^32 - 3: the product's upper half. Inverse by Newton.
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15;
  uint64_t inverse = kFactor;
  for (int i = 0; i < 6; i++)
    inverse *= 2 - kFactor * inverse;
  const uint64_t id = 0xfffffffd00000000 * inverse;
  ASSERT_EQ((id * kFactor) >> 32, 0xfffffffdu);
  TestLane t(kTiny);
  t.desk = LaneDesk(t.page, t.header, id);
  LaneReader before;
  for (const uint32_t expected : {0xfffffffeu, 0xffffffffu, 1u, 2u}) {
    LaneReader r = t.join();
    ASSERT_EQ(r.join().generation, expected);
    ASSERT_EQ(r.join().index, 0u);
    EXPECT_TRUE(expected == 0xfffffffe || before.evicted()) << "its mark is another's by now";
    Message m;
    for (uint64_t i = 0; i < 9; i++) {
      ASSERT_EQ(t.send(i), Errc::kOk);
      ASSERT_EQ(r.next(m), Next::kMessage);
      ASSERT_EQ(value_of(m), i);
      r.release();
    }
    EXPECT_FALSE(r.evicted());
    t.leave(r);
    before = r;
  }
}

}  // namespace
}  // namespace penstock
