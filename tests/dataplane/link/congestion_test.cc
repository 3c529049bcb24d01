#include "dataplane/link/congestion.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <span>

#include "dataplane/link/inflow.h"

namespace penstock {
namespace {

constexpr uint64_t kBase = 20'000;
constexpr uint64_t kQueue = 20'000;

// A path that holds `bdp` packets, and behind it a queue: what is more than that waits there.
struct Path {
  Congestion c{{.on = true, .queue_ns = kQueue, .most = 256}};
  double bdp = 50;
  double loss = 0;  // share of packets
  double marks = 0;
  uint64_t hosts_ns = 0;
  uint64_t now = 1'000'000'000;

  double queue(double window) const { return std::max(0.0, window - bdp); }
  // One round trip with the window full.
  void round() {
    const double window = c.window();
    const double round_ns = kBase * (1 + queue(window) / bdp);
    now += static_cast<uint64_t>(round_ns);
    const auto packets = static_cast<uint32_t>(std::max(1.0, window * (1 - loss)));
    c.on_lost(static_cast<uint32_t>(window * loss));
    c.on_ack({.packets = packets,
              .marked = static_cast<uint32_t>(packets * marks),
              .round_ns = static_cast<uint64_t>(round_ns) + hosts_ns,
              .hosts_ns = hosts_ns,
              .smooth_ns = static_cast<uint64_t>(round_ns)},
             now);
  }
  void rounds(int n) {
    for (int i = 0; i < n; i++)
      round();
  }
};

TEST(Congestion, BeginsWithTwoAndDoubles) {
  Path p;
  EXPECT_EQ(p.c.packets(), 2u);
  p.rounds(3);
  EXPECT_EQ(p.c.packets(), 16u);
}

TEST(Congestion, FillsThePathAndKeepsItsQueueShort) {
  for (const double bdp : {3.0, 30.0, 150.0}) {
    Path p;
    p.bdp = bdp;
    p.rounds(200);
    double least = 1e9, most = 0;
    for (int i = 0; i < 200; i++) {
      p.round();
      least = std::min(least, p.c.window());
      most = std::max(most, p.c.window());
    }
    EXPECT_GE(least, 0.95 * bdp) << bdp;
    // The allowed delay, and what small windows may have more.
    EXPECT_LE(most, bdp * (1 + (1 + 2 / std::sqrt(bdp)) * kQueue / kBase) + 2) << bdp;
  }
}

TEST(Congestion, NeverMoreThanTheMost) {
  Path p;
  p.bdp = 10'000;
  p.rounds(100);
  EXPECT_EQ(p.c.packets(), 256u);
}

// A bad cable is no congestion; half of all lost is.
TEST(Congestion, LossCountsFromATenthOn) {
  Path p;
  p.loss = 0.05;
  p.rounds(200);
  EXPECT_GE(p.c.window(), 0.95 * p.bdp);
  p.loss = 0.5;
  p.rounds(100);
  EXPECT_LT(p.c.window(), 10);
}

TEST(Congestion, MarksShrinkItByTheirShare) {
  Path p;
  p.rounds(300);
  const double before = p.c.window();
  p.marks = 0.1;
  p.rounds(300);
  EXPECT_LT(p.c.window(), before);
  const double few = p.c.window();
  p.marks = 0.9;
  p.rounds(300);
  EXPECT_LT(p.c.window(), few / 2);
}

// What the hosts let a packet wait is not the network's.
TEST(Congestion, AHostThatStandsStillIsNoCongestion) {
  Path p;
  p.rounds(100);
  p.hosts_ns = 50'000'000;
  p.rounds(100);
  EXPECT_GE(p.c.window(), 0.95 * p.bdp);
}

TEST(Congestion, ShrinksOnceARoundTripAndByHalfAtMost) {
  Path p;
  p.rounds(100);
  const double before = p.c.window();
  for (int i = 0; i < 100; i++)
    p.c.on_ack({.packets = 1, .round_ns = 100 * kBase, .smooth_ns = kBase}, p.now + 1);
  EXPECT_GE(p.c.window(), before / 2);
}

// So many share the queue that one packet in flight each is too many.
TEST(Congestion, GoesBelowOnePacketARoundTrip) {
  Path p;
  p.rounds(10);
  for (int i = 0; i < 100; i++) {
    p.now += 100 * kBase;
    p.c.on_ack({.packets = 1, .round_ns = 100 * kBase, .smooth_ns = kBase}, p.now);
  }
  EXPECT_EQ(p.c.packets(), 1u);
  EXPECT_GT(p.c.pause_ns(kBase), 10 * kBase);
  p.bdp = 50;
  p.rounds(200);
  EXPECT_EQ(p.c.pause_ns(kBase), 0u);
  EXPECT_GE(p.c.window(), 0.95 * p.bdp);
}

// The path became longer: after a while that is its own time, not a queue's.
TEST(Congestion, ForgetsARoundTripThatIsNoMore) {
  Congestion c({.on = true, .queue_ns = kQueue, .most = 256});
  uint64_t now = 1;
  const auto rounds = [&](uint64_t round_ns, uint64_t for_ns) {
    for (const uint64_t end = now + for_ns; now < end; now += round_ns)
      c.on_ack({.packets = c.packets(), .round_ns = round_ns, .smooth_ns = round_ns}, now);
  };
  rounds(20'000, 1'000'000'000);
  EXPECT_EQ(c.packets(), 256u);
  rounds(200'000, 1'000'000'000);
  EXPECT_EQ(c.packets(), 1u);
  rounds(200'000, 25'000'000'000);
  EXPECT_EQ(c.packets(), 256u);
}

TEST(Congestion, DoesNotGrowWhereTheWindowIsNotUsed) {
  Congestion c({.on = true, .queue_ns = kQueue, .most = 256});
  for (uint64_t now = 1; now < 100 * kBase; now += kBase)
    c.on_ack({.packets = 1, .round_ns = kBase, .smooth_ns = kBase, .window_used = false}, now);
  EXPECT_EQ(c.packets(), 2u);
}

TEST(Congestion, IsAllOrNothing) {
  Congestion c({.on = false, .queue_ns = kQueue, .most = 64});
  EXPECT_EQ(c.packets(), 64u);
  c.on_silence();
  c.on_ack({.packets = 1, .marked = 1, .round_ns = 1'000'000'000, .smooth_ns = kBase}, 5);
  EXPECT_EQ(c.packets(), 64u);
  EXPECT_EQ(c.pause_ns(kBase), 0u);
}

constexpr uint64_t kRtt = 20'000;
constexpr uint64_t kPeriod = 4 * kRtt;
constexpr uint32_t kFrame = 1500;
constexpr uint32_t kAll = 12'500u * 20 * 3 / 2 / kFrame;  // at 100 Gb/s

TEST(Inflow, SharesWhatThePathHolds) {
  Inflow in(12'500);
  std::array<Inflow::Sender, 8> senders;
  uint64_t now = 1'000'000'000;
  const auto hear = [&](size_t n) {
    for (auto& s : std::span(senders).first(n))
      in.heard(s, now);
  };
  hear(8);
  EXPECT_EQ(in.share(senders[0], now, kRtt, kFrame), 2u) << "others may have begun as well";
  now += kRtt + 1;
  hear(8);  // twice is once
  EXPECT_EQ(in.share(senders[0], now, kRtt, kFrame), kAll / 8);
  EXPECT_EQ(in.share(senders[0], now, kRtt, 9'000'000), 1u) << "never none";
  // Seven have stopped, which shows in the period after the next.
  now += kPeriod;
  hear(1);
  EXPECT_EQ(in.share(senders[0], now, kRtt, kFrame), kAll / 8);
  now += kPeriod;
  hear(1);
  EXPECT_EQ(in.share(senders[0], now, kRtt, kFrame), kAll);
  now += kPeriod;
  hear(1);
  EXPECT_EQ(in.share(senders[0], now, kRtt, kFrame), kAll) << "it was heard all the time";
  // And one begins again.
  in.heard(senders[1], now);
  EXPECT_EQ(in.share(senders[1], now, kRtt, kFrame), 2u);
  EXPECT_EQ(in.share(senders[0], now, kRtt, kFrame), kAll / 2);
}

TEST(Inflow, AllowsAnyNumberWhereNothingIsKnown) {
  EXPECT_EQ(Inflow(0).share({}, 1'000'000, kRtt, kFrame), kAnyNumber);
  EXPECT_EQ(Inflow(100).share({}, 1'000'000, 0, kFrame), kAnyNumber);
}

}  // namespace
}  // namespace penstock
