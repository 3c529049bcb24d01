#include "dataplane/link/sent_packets.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

constexpr uint64_t kNever = ~uint64_t{0};

Ack ack_of(uint64_t largest, std::initializer_list<uint64_t> others = {}) {
  Ack a{.largest = largest};
  for (const uint64_t p : others)
    a.bitmap[(largest - 1 - p) / 64] |= uint64_t{1} << ((largest - 1 - p) % 64);
  return a;
}

struct Fixture {
  explicit Fixture(uint32_t window, uint64_t n = 0) : packets(window) {
    for (uint64_t i = 1; i <= n; i++)
      packets.add(i, i * 10, {.position = i});
  }
  std::vector<uint64_t> ack(const Ack& a) {
    std::vector<uint64_t> out;
    packets.on_ack(a, sent_at, [&](const SentPacket& p, SentPacket::State was) {
      out.push_back(p.packet);
      spurious += was != SentPacket::State::kInFlight ? 1 : 0;
    });
    return out;
  }
  std::vector<uint64_t> lost(uint64_t now, uint64_t delay) {
    std::vector<uint64_t> out;
    next = packets.find_lost(now, delay, [&](const SentPacket& p) { out.push_back(p.packet); });
    return out;
  }
  SentPackets packets;
  uint64_t sent_at = 0;
  uint64_t next = 0;
  int spurious = 0;
};

using Numbers = std::vector<uint64_t>;

TEST(SentPackets, KnowsWhatCame) {
  Fixture f(8, 5);
  EXPECT_EQ(f.ack(ack_of(4, {1})), (Numbers{1, 4}));
  EXPECT_EQ(f.sent_at, 40u);
  EXPECT_EQ(f.packets.in_flight(), 3u);
  EXPECT_EQ(f.ack(ack_of(4, {1})), Numbers{});
}

TEST(SentPackets, ThreePacketsLaterIsLost) {
  Fixture f(8, 5);
  f.ack(ack_of(4));
  EXPECT_EQ(f.lost(0, 1000), (Numbers{1}));
  EXPECT_EQ(f.next, 20u + 1000);
  EXPECT_EQ(f.lost(2000, 1000), (Numbers{2, 3}));
  EXPECT_EQ(f.next, kNever);
  EXPECT_EQ(f.packets.in_flight(), 1u);  // what is after the largest is not judged
}

TEST(SentPackets, LateArrivalIsSpuriousAndWidensTheThreshold) {
  Fixture f(16, 10);
  f.ack(ack_of(6));
  EXPECT_EQ(f.lost(0, 1000), (Numbers{1, 2, 3}));
  EXPECT_EQ(f.ack(ack_of(8, {1})), (Numbers{1, 8}));
  EXPECT_EQ(f.spurious, 1);
  EXPECT_EQ(f.packets.threshold(), 8u);
  EXPECT_EQ(f.lost(0, 1000), Numbers{});
}

TEST(SentPackets, AProbeGivesUpTheOldest) {
  Fixture f(8, 3);
  EXPECT_EQ(f.packets.probe()->packet, 1u);
  EXPECT_EQ(f.packets.probe()->packet, 2u);
  EXPECT_EQ(f.packets.in_flight(), 1u);
  EXPECT_EQ(f.ack(ack_of(2)), (Numbers{2}));
  EXPECT_EQ(f.spurious, 1);
  EXPECT_EQ(f.packets.threshold(), SentPackets::kFirstThreshold);  // it proves no reordering
  EXPECT_EQ(f.packets.probe()->packet, 3u);
  EXPECT_EQ(f.packets.probe(), nullptr);
}

TEST(SentPackets, TheWindowIsWhatIsInFlight) {
  Fixture f(4, 4);
  EXPECT_TRUE(f.packets.full());
  f.ack(ack_of(2));
  EXPECT_FALSE(f.packets.full());
}

// Whatever pattern of losses and late arrivals: nothing in flight is forgotten.
TEST(SentPackets, ALongHistoryFitsTheRing) {
  for (const uint32_t window : {1u, 4u, 64u, 256u}) {
    SentPackets packets(window);
    uint64_t next = 1, acked = 0, given_up = 0, late = 0;
    for (int round = 0; round < 5000; round++) {
      while (!packets.full())
        packets.add(next, next, {.position = next}), next++;
      Ack a{.largest = next - 1 - static_cast<uint64_t>(round) % window};
      a.bitmap = {0x5555aaaa12345678u * static_cast<uint64_t>(round), 7, 1ull << 63, 0};
      uint64_t at = 0;
      packets.on_ack(a, at, [&](const SentPacket&, SentPacket::State was) {
        was == SentPacket::State::kInFlight ? acked++ : late++;
      });
      packets.find_lost(next, 1000, [&](const SentPacket&) { given_up++; });
      if (round % 50 == 0 && packets.probe() != nullptr) given_up++;
      ASSERT_EQ(acked + given_up + packets.in_flight(), next - 1);
    }
    EXPECT_GT(acked, 0u);
  }
}

TEST(SentPackets, ARemovedLaneIsForgotten) {
  SentPackets packets(8);
  OutLane* lane = reinterpret_cast<OutLane*>(64);  // only compared
  packets.add(1, 0, {.lane = lane});
  packets.forget(lane);
  EXPECT_EQ(packets.probe()->what.lane, nullptr);
}

}  // namespace
}  // namespace penstock
