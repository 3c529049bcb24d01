// A network with several ways, of which each flow takes one by its ports (ECMP): a link may use all
// of them, and leaves one that swallows what comes. On virtual time.
#include <gtest/gtest.h>

#include "tests/support/sim_star.h"

namespace penstock::test {
namespace {

constexpr uint64_t kSize = 64 << 10;
constexpr uint64_t kMs = 1'000'000;
constexpr LaneGeometry kLane{.ring_log2 = 10, .arena_log2 = 24, .topics = 1};

SimStar::Config config(uint32_t source_ports) {
  SimStar::Config c;
  c.seed = 5;
  c.port.max_frame = 9014;
  c.port.tx_room = 4096;
  c.port.buffers = c.port.rx_queue = 16'384;
  c.port.gbps = 100;
  c.port.switch_room = 4 << 20;
  c.port.faults.delay_ns = 10'000;
  c.link.source_ports = source_ports;
  return c;
}

struct Ways : testing::TestWithParam<uint32_t> {
  Ways() : star(config(GetParam())) {
    star.net().ways = {
        {.delay_ns = 0}, {.delay_ns = 2'000}, {.delay_ns = 5'000}, {.delay_ns = 9'000}};
    star.subscribe(1, star.publish(0, kLane, kSize, kMessages), kLane);
  }

  static constexpr uint64_t kMessages = 1024;

  SimStar star;
  const LinkStats& sender() { return star.link_stats(0, 1); }
  uint64_t got() { return star.flows()[0]->got; }
  uint64_t wrong() { return star.flows()[0]->wrong; }
};

// Packets overtake each other: what was taken for lost at first is learnt to be late.
TEST_P(Ways, OfDifferentLengthCostLittle) {
  ASSERT_TRUE(star.connect());
  const uint64_t begin = star.now();
  ASSERT_TRUE(star.run(1'000 * kMs));
  const double bytes_per_ns =
      static_cast<double>(kSize * kMessages) / static_cast<double>(star.now() - begin);
  EXPECT_EQ(wrong(), 0u);
  EXPECT_GE(bytes_per_ns, 0.85 * 12.5);
  EXPECT_LE(sender().retransmitted.read(), 64u);
  EXPECT_EQ(sender().rerouted.read(), 0u);
}

// The way of the data, or of the acknowledgements, goes dark under load.
TEST_P(Ways, DarkOnesAreLeft) {
  uint64_t rerouted = 0;
  for (size_t dark = 0; dark < 4; dark++) {
    SimStar::Config c = config(GetParam());
    c.seed = 10 + dark;
    SimStar s(c);
    s.net().ways = star.net().ways;
    auto& flow = s.subscribe(1, s.publish(0, kLane, kSize, kMessages), kLane);
    ASSERT_TRUE(s.connect());
    ASSERT_TRUE(s.run(1'000 * kMs, [&] { return flow.got >= kMessages / 4; }));
    s.net().ways[dark].dark = true;
    ASSERT_TRUE(s.run(100 * kMs)) << dark;
    EXPECT_EQ(flow.wrong, 0u);
    EXPECT_EQ(s.link_stats(0, 1).sessions.read(), 1u);
    EXPECT_EQ(s.link_stats(0, 1).reconnects.read(), 0u);
    rerouted += s.link_stats(0, 1).rerouted.read() + s.link_stats(1, 0).rerouted.read();
    EXPECT_LE(s.link_stats(0, 1).lost.read(), 200u) << "a way that stays dark is not used";
  }
  EXPECT_GE(rerouted, 1u);
}

// A call may take it, and the answer another one that is dark.
TEST_P(Ways, ThePeerIsFoundInSpiteOfDarkOnes) {
  for (size_t dark = 0; dark < 4; dark++) {
    SimStar::Config c = config(GetParam());
    SimStar s(c);
    s.net().ways = star.net().ways;
    s.subscribe(1, s.publish(0, kLane, kSize, 16), kLane);
    s.net().ways[dark].dark = true;
    ASSERT_TRUE(s.connect()) << dark;
    EXPECT_TRUE(s.run(1'000 * kMs)) << dark;
  }
}

INSTANTIATE_TEST_SUITE_P(SourcePorts, Ways, testing::Values(1u, 4u));

// A wall lets only the path's own port through: after a silence the peers meet again by it.
TEST(Wall, LetsPeersMeetAgain) {
  SimStar::Config c = config(1);
  c.link.dead_after_ns = 4'000 * kMs;
  SimStar s(c);
  auto& flow = s.subscribe(1, s.publish(0, kLane, kSize, 512), kLane);
  s.net().let_through = SimStar::kUdpPort;
  ASSERT_TRUE(s.connect());
  ASSERT_TRUE(s.run(1'000 * kMs, [&] { return flow.got >= 16; }));
  for (uint32_t host : {0u, 1u})
    s.port(host).faults.cut = true;
  EXPECT_FALSE(s.run(2'200 * kMs));
  for (uint32_t host : {0u, 1u})
    s.port(host).faults.cut = false;
  EXPECT_TRUE(s.run(4'000 * kMs));
  EXPECT_EQ(flow.wrong, 0u);
  EXPECT_EQ(s.link_stats(0, 1).sessions.read(), 1u);
  EXPECT_GE(s.link_stats(0, 1).reconnects.read(), 1u);
}

}  // namespace
}  // namespace penstock::test
