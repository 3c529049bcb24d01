#include "drivers/sim/sim_net.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

// Sends a frame of `size` bytes whose 15th byte is `mark`.
size_t send(SimPort& from, const std::array<uint8_t, 6>& to, uint8_t mark, uint32_t size = 60) {
  std::array<Frame, 1> f;
  if (from.tx_alloc(f) == 0) return 0;
  std::memset(f[0].data, 0, size);
  std::memcpy(f[0].data, to.data(), 6);
  std::memcpy(f[0].data + 6, from.info().mac.data(), 6);
  f[0].data[14] = std::byte{mark};
  f[0].len = size;
  const size_t n = from.tx_burst(f);
  from.release(std::span(f).subspan(n));
  return n;
}

// The marks of all frames that wait at a port.
std::vector<int> marks(SimPort& port) {
  std::vector<int> out;
  std::array<Frame, 8> f;
  while (const size_t n = port.rx_burst(f)) {
    for (size_t i = 0; i < n; i++)
      out.push_back(std::to_integer<int>(f[i].data[14]));
    port.release(std::span(f).first(n));
  }
  return out;
}

constexpr std::array<uint8_t, 6> kAll = {255, 255, 255, 255, 255, 255};

TEST(SimNet, DeliversAfterTheDelay) {
  SimNet net(1);
  SimPort& a = net.add_port();
  SimPort& b = net.add_port();
  EXPECT_EQ(send(a, b.info().mac, 7), 1u);
  EXPECT_TRUE(marks(b).empty());
  EXPECT_EQ(net.next_event(), 1000u);
  net.advance(999);
  EXPECT_TRUE(marks(b).empty());
  net.advance(1000);
  EXPECT_EQ(marks(b), (std::vector<int>{7}));
  EXPECT_TRUE(marks(a).empty());
  EXPECT_EQ(net.held(), 0u);
}

TEST(SimNet, AFrameToAllReachesAllOthers) {
  SimNet net(1);
  SimPort& a = net.add_port();
  SimPort& b = net.add_port();
  SimPort& c = net.add_port();
  send(a, kAll, 1);
  send(a, c.info().mac, 2);
  net.advance(10'000);
  EXPECT_EQ(marks(a), std::vector<int>{});
  EXPECT_EQ(marks(b), (std::vector<int>{1}));
  EXPECT_EQ(marks(c), (std::vector<int>{1, 2}));
}

struct Seen {
  std::vector<int> marks;
  uint64_t trace;
  bool operator==(const Seen&) const = default;
};

Seen run(uint64_t seed, const SimFaults& faults, int frames = 200) {
  SimNet net(seed);
  SimPort& a = net.add_port({.faults = faults});
  SimPort& b = net.add_port();
  for (int i = 0; i < frames; i++) {
    send(a, b.info().mac, static_cast<uint8_t>(i));
    net.advance(net.now() + 100);
  }
  net.advance(net.now() + 1'000'000);
  return {marks(b), net.trace()};
}

TEST(SimNet, SameSeedSameFate) {
  const SimFaults bad{.lose = 200'000, .duplicate = 100'000, .damage = 50'000, .reorder = 100'000};
  EXPECT_EQ(run(7, bad), run(7, bad));
  EXPECT_NE(run(7, bad).trace, run(8, bad).trace);
}

TEST(SimNet, LosesAsManyAsItIsTold) {
  const size_t got = run(1, {.lose = 500'000}, 2000).marks.size();
  EXPECT_GT(got, 900u);
  EXPECT_LT(got, 1100u);
}

TEST(SimNet, LosesInRuns) {
  const auto got = run(3, {.lose = 20'000, .lose_run = 10}, 250).marks;
  for (size_t i = 1; i < got.size(); i++)
    EXPECT_TRUE(got[i] - got[i - 1] == 1 || got[i] - got[i - 1] > 10);
  EXPECT_LT(got.size(), 250u);
}

TEST(SimNet, DoublesAndReorders) {
  const auto twice = run(1, {.duplicate = 1'000'000}, 10).marks;
  EXPECT_EQ(twice.size(), 20u);
  const auto mixed = run(1, {.reorder = 300'000}).marks;
  EXPECT_EQ(mixed.size(), 200u);
  EXPECT_FALSE(std::ranges::is_sorted(mixed));
}

TEST(SimNet, DamagesOneBitBehindTheAddresses) {
  SimNet net(5);
  SimPort& a = net.add_port({.faults = {.damage = 1'000'000}});
  SimPort& b = net.add_port();
  for (int i = 0; i < 50; i++)
    send(a, b.info().mac, 0);
  net.advance(10'000);
  std::array<Frame, 50> f;
  ASSERT_EQ(b.rx_burst(f), 50u);
  for (const Frame& frame : f) {
    int bits = 0;
    for (uint32_t i = 14; i < frame.len; i++)
      bits += std::popcount(std::to_integer<unsigned>(frame.data[i]));
    EXPECT_EQ(bits, 1);
  }
  b.release(f);
}

TEST(SimPort, HoldsTheReferenceUntilItWasSent) {
  SimNet net(1);
  SimPort& a = net.add_port({.tx_ns = 500});
  SimPort& b = net.add_port();
  const Bytes memory(4096, std::byte{3});
  Region region;
  region.base = memory.data();
  region.bytes = memory.size();
  ASSERT_EQ(a.map_region(region), Errc::kOk);
  std::array<Frame, 1> f;
  ASSERT_EQ(a.tx_alloc(f), 1u);
  std::memcpy(f[0].data, b.info().mac.data(), 6);
  f[0].len = 14;
  f[0].payload = memory.data() + 100;
  f[0].payload_len = 1000;
  f[0].region = &region;
  ASSERT_EQ(a.tx_burst(f), 1u);
  EXPECT_FALSE(region.in_flight.idle());
  EXPECT_EQ(net.held(), 1u);
  net.advance(500);
  EXPECT_TRUE(region.in_flight.idle());
  net.advance(1000);
  ASSERT_EQ(b.rx_burst(f), 1u);
  EXPECT_EQ(f[0].len, 1014u);
  EXPECT_EQ(f[0].data[1013], std::byte{3});
  b.release(f);
}

TEST(SimPort, TakesNoMoreThanItHasRoomFor) {
  SimNet net(1);
  SimPort& a = net.add_port({.tx_room = 2, .tx_ns = 100});
  SimPort& b = net.add_port();
  EXPECT_EQ(send(a, b.info().mac, 1), 1u);
  EXPECT_EQ(send(a, b.info().mac, 2), 1u);
  EXPECT_EQ(send(a, b.info().mac, 3), 0u);
  EXPECT_EQ(a.stats().tx_full.read(), 1u);
  net.advance(100);
  EXPECT_EQ(send(a, b.info().mac, 4), 1u);
}

TEST(SimPort, RunsOutOfBuffersAndQueue) {
  SimNet net(1);
  SimPort& a = net.add_port({.buffers = 3});
  SimPort& b = net.add_port({.rx_queue = 2});
  std::array<Frame, 4> f;
  EXPECT_EQ(a.tx_alloc(f), 3u);
  EXPECT_EQ(a.stats().no_buffers.read(), 1u);
  EXPECT_EQ(a.held(), 3u);
  a.release(std::span(f).first(3));
  for (uint8_t i = 0; i < 5; i++)
    send(a, b.info().mac, i);
  net.advance(10'000);
  EXPECT_EQ(marks(b), (std::vector<int>{0, 1}));
  EXPECT_EQ(b.stats().rx_missed.read(), 3u);
}

TEST(SimPort, ACutPortSendsNothing) {
  SimNet net(1);
  SimPort& a = net.add_port();
  SimPort& b = net.add_port();
  a.faults.cut = true;
  EXPECT_FALSE(a.link_up());
  EXPECT_EQ(send(a, b.info().mac, 1), 1u);
  net.advance(10'000);
  EXPECT_TRUE(marks(b).empty());
  EXPECT_EQ(a.lost(), 1u);
}

}  // namespace
}  // namespace penstock
