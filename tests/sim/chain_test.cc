// Large messages to many nodes leave their source once, whatever becomes of the nodes on their way.
// On virtual time, so the figures are the same everywhere; `bench/run --lossy` has them for 1 GiB.
#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <utility>

#include "tests/support/sim_runs.h"
#include "tests/support/sim_star.h"

namespace penstock::test {
namespace {

constexpr double kMessage = 4 << 20;
constexpr double kSecond = 1e9 * 12.5 / (16 * kMessage);  // in times of the 16 messages of a run

ChainOutcome run(const ChainRun& r) {
  const ChainOutcome o = run_chain(r);
  EXPECT_TRUE(o.done);
  EXPECT_EQ(o.wrong, 0u);
  return o;
}

TEST(Chain, LargeMessagesLeaveTheSourceOnce) {
  for (const uint32_t receivers : {2u, 8u}) {
    const ChainOutcome o = run({.receivers = receivers});
    EXPECT_LE(o.egress, 1.02) << receivers;
    EXPECT_LE(o.time, 1.1) << receivers;
    EXPECT_EQ(o.relayed, (receivers - 1) * 16 * uint64_t{4 << 20}) << receivers;
    EXPECT_EQ(o.fell_back, 0u) << receivers;
  }
}

// Each chunk goes on from the mirror as soon as it has landed there.
TEST(Chain, ByRdmaTheyLeaveTheSourceOnce) {
  for (const uint32_t receivers : {2u, 8u}) {
    const ChainOutcome o = run({.receivers = receivers, .rdma = true});
    EXPECT_EQ(o.put, 1.0) << receivers;
    EXPECT_LE(o.egress, 0.001) << receivers << ": announcements, and no more";
    EXPECT_LE(o.time, 1.2) << receivers;
    EXPECT_EQ(o.passed, (receivers - 1) * 16 * uint64_t{4 << 20}) << receivers;
    EXPECT_EQ(o.relayed, o.passed) << receivers << ": none by frames";
    EXPECT_EQ(o.fell_back, 0u) << receivers;
  }
}

TEST(Chain, ByRdmaWithoutItEachReceiverCostsTheWhole) {
  const ChainOutcome o = run({.receivers = 4, .chain = false, .rdma = true});
  EXPECT_EQ(o.put, 4.0);
  EXPECT_EQ(o.relayed, 0u);
}

// Large parts take their time on slow devices, and that is no reason to give up.
TEST(Chain, ByRdmaSlowDevicesAreWaitedFor) {
  for (const auto& [gbps, size] : {std::pair{25u, 32u}, {10u, 16u}, {1u, 2u}}) {
    const ChainOutcome o = run({.receivers = 3,
                                .size = uint64_t{size} << 20,
                                .messages = 8,
                                .rdma = true,
                                .rdma_gbps = gbps});
    EXPECT_LE(o.put + o.egress, 1.01) << gbps;
    EXPECT_EQ(o.fell_back, 0u) << gbps;
  }
}

// A lane to two hosts, and another to one of them, by the same device.
TEST(Chain, ByRdmaHasItsShareBesideOtherLanes) {
  std::array<uint64_t, 2> done{};
  for (const bool chain : {false, true}) {
    SimStar::Config c;
    c.seed = 11;
    c.hosts = 3;
    c.chain_from = chain ? 256 << 10 : 0;
    c.rdma_gbps = 10;
    SimStar star(c);
    const LaneGeometry lane{.ring_log2 = 10, .arena_log2 = 26, .topics = 1};
    auto& both = star.publish(0, lane, 1 << 20, 48);
    const auto& one = star.subscribe(1, both, lane);
    const auto& two = star.subscribe(2, both, lane);
    star.subscribe(1, star.publish(0, lane, 1 << 20, 500), lane);
    ASSERT_TRUE(star.connect());
    const uint64_t begin = star.now();
    ASSERT_TRUE(star.run(20'000'000'000));
    done[chain ? 1 : 0] = std::max(one.done_at, two.done_at) - begin;
  }
  EXPECT_LE(done[1], 3 * done[0]);
}

// What was on its way from it, or to it, goes from the source.
TEST(Chain, ByRdmaOutlivesEachOfItsNodes) {
  for (const uint32_t killed : {1u, 4u, 8u}) {
    const ChainOutcome o = run({.killed = killed, .rdma = true});
    EXPECT_LE(o.time, 1.1 + kSecond) << killed;
    EXPECT_LE(o.put + o.egress, 8.0) << killed;
  }
}

// A relay that was asked for messages and stands still: the receivers behind it get them from the
// source, and take back what it may write to before they give it to others.
TEST(Chain, ByRdmaNobodyWritesWhereItHasNoPlaceAnyMore) {
  uint64_t revoked = 0;
  for (const uint32_t stalled : {1u, 2u, 3u})
    revoked += run({.receivers = 3, .messages = 32, .rdma = true, .stalled = stalled}).revoked;
  EXPECT_GT(revoked, 0u);
}

// Its cable carries a hundredth, and its device sends no faster: nobody stays behind it.
TEST(Chain, ByRdmaGoesOnWithoutTheSlow) {
  for (const uint32_t slow : {1u, 4u}) {
    const ChainOutcome o = run({.slow = slow, .rdma = true});
    EXPECT_LE(o.others, 8.0) << slow;
  }
}

TEST(Chain, WithoutItEachReceiverCostsTheWhole) {
  const ChainOutcome o = run({.receivers = 4, .chain = false});
  EXPECT_GE(o.egress, 4.0);
  EXPECT_EQ(o.relayed, 0u);
}

TEST(Chain, RepairsLossWhereItHappens) {
  const ChainOutcome o = run({.receivers = 4, .lost = 10'000});
  EXPECT_GT(o.relayed, 3 * 16 * uint64_t{4 << 20});
  EXPECT_LE(o.egress, 1.03);
  EXPECT_LE(o.time, 2.0);
  EXPECT_EQ(o.fell_back, 0u);
}

// Neither side holds it twice. (Sanitizers take long over a GiB.)
TEST(Chain, CarriesOneMessageOfAGibibyte) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr uint64_t kSize = 64 << 20;
#else
  constexpr uint64_t kSize = 1 << 30;
#endif
  const ChainOutcome o = run({.receivers = 2, .size = kSize, .messages = 1, .lost = 1'000});
  EXPECT_LE(o.egress, 1.02);
  EXPECT_LE(o.time, 1.2);
  EXPECT_EQ(o.fell_back, 0u);
}

// Behind the last of the chain is nobody; which node that is, the run decides.
TEST(Chain, OutlivesEachOfItsNodes) {
  uint32_t last = 0;
  for (const uint32_t killed : {1u, 4u, 8u}) {
    const ChainOutcome o = run({.killed = killed});
    EXPECT_LE(o.time, 1.1 + kSecond) << killed;
    EXPECT_LE(o.egress, 8.0) << killed;
    if (o.fell_back == 0) last++;
  }
  EXPECT_LE(last, 1u);
}

// Nobody has to wait for it but its own messages.
TEST(Chain, GoesOnWithoutTheSlow) {
  for (const uint32_t slow : {1u, 4u}) {
    const ChainOutcome o = run({.slow = slow});
    EXPECT_LE(o.others, 8.0) << slow;
    EXPECT_GE(o.time, 80.0) << slow;
  }
}

TEST(Chain, TheSameSeedIsTheSameRun) {
  const ChainRun r{.receivers = 3, .messages = 4, .lost = 10'000};
  EXPECT_EQ(run(r).trace, run(r).trace);
}

}  // namespace
}  // namespace penstock::test
