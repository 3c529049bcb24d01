#include "dataplane/link/received_packets.h"

#include <gtest/gtest.h>
#include <set>

#include "tests/support/ledger.h"

namespace penstock {
namespace {

constexpr uint64_t kNever = ~uint64_t{0};

TEST(ReceivedPackets, AgreesWithASet) {
  for (uint64_t seed = 0; seed < 30; seed++) {
    test::Random r(seed);
    ReceivedPackets got;
    std::set<uint64_t> model;
    uint64_t base = seed % 2 == 0 ? 1 : (uint64_t{1} << 32) - 300;
    const uint64_t reach = 1 + r.below(400);
    for (int i = 0; i < 2000; i++) {
      const uint64_t packet = base + r.below(reach);
      base += r.below(3);
      const uint64_t largest = got.largest();
      const bool below = packet + kAckBits < largest;
      ASSERT_EQ(got.has(packet), below || model.contains(packet)) << packet;
      if (got.has(packet)) continue;
      got.add(packet, 0, true, false);
      model.insert(packet);
      const Ack a = got.ack(0);
      ASSERT_EQ(a.largest, *model.rbegin());
      for (uint64_t p = a.largest; p > 0 && p + kAckBits >= a.largest; p--)
        ASSERT_EQ(a.has(p), model.contains(p)) << p << " of " << a.largest;
    }
  }
}

TEST(ReceivedPackets, AckIsDueAfterTheDelay) {
  ReceivedPackets r;
  EXPECT_EQ(r.ack_at(25), kNever);
  r.add(1, 100, true, false);
  EXPECT_EQ(r.ack_at(25), 125u);
  r.add(2, 110, true, false);
  EXPECT_EQ(r.ack_at(25), 125u);  // of the first
  r.acked();
  EXPECT_EQ(r.ack_at(25), kNever);
}

TEST(ReceivedPackets, AckIsDueAtOnce) {
  ReceivedPackets gap;
  gap.add(1, 100, true, false);
  gap.add(3, 110, true, false);
  EXPECT_EQ(gap.ack_at(25), 100u);
  gap.acked();
  gap.add(2, 120, true, false);  // late
  EXPECT_EQ(gap.ack_at(25), 120u);

  ReceivedPackets asked;
  asked.add(1, 100, true, true);
  EXPECT_EQ(asked.ack_at(25), 100u);

  ReceivedPackets many;
  for (uint64_t i = 1; i < ReceivedPackets::kAckEvery; i++)
    many.add(i, 100, true, false);
  EXPECT_EQ(many.ack_at(25), 125u);
  many.add(ReceivedPackets::kAckEvery, 100, true, false);
  EXPECT_EQ(many.ack_at(25), 100u);
}

TEST(ReceivedPackets, AcksAreNotAcknowledged) {
  ReceivedPackets r;
  r.add(1, 100, false, false);
  EXPECT_EQ(r.ack_at(25), kNever);
  EXPECT_TRUE(r.has(1));
}

TEST(ReceivedPackets, SaysHowLongItWaited) {
  ReceivedPackets r;
  r.add(1, 1000, true, false);
  EXPECT_EQ(r.ack(1160).delay, 10u);
}

}  // namespace
}  // namespace penstock
