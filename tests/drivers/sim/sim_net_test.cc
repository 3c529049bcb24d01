#include "drivers/sim/sim_net.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <gtest/gtest.h>

#include "dataplane/net/checksum.h"

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

// 60 bytes and 24 more are 672 bits: 68 ns at 10 Gb/s, on the way up and on the way down.
TEST(SimPort, ACableTakesItsTime) {
  SimNet net(1);
  const SimPortConfig ten{.gbps = 10};
  SimPort& a = net.add_port(ten);
  SimPort& b = net.add_port(ten);
  for (uint8_t i = 0; i < 3; i++)
    send(a, b.info().mac, i);
  EXPECT_EQ(a.held(), 3u);
  net.advance(67);
  EXPECT_EQ(a.held(), 2u);
  net.advance(1000 + 67 + 67 - 1);
  EXPECT_TRUE(marks(b).empty());
  net.advance(1000 + 67 + 67);
  EXPECT_EQ(marks(b), (std::vector<int>{0}));
  net.advance(1000 + 4 * 67 - 1);
  EXPECT_EQ(marks(b), (std::vector<int>{1}));
  net.advance(1000 + 4 * 67);
  EXPECT_EQ(marks(b), (std::vector<int>{2}));
}

TEST(SimPort, AStoppedPortGivesAllBackAndTakesNothing) {
  SimNet net(1);
  SimPort& a = net.add_port({.tx_ns = 1'000'000});
  SimPort& b = net.add_port();
  send(a, b.info().mac, 1);
  send(b, a.info().mac, 2);
  a.set_rate(10);  // what is on its way goes on at the rate that is now
  EXPECT_EQ(a.held(), 1u);
  a.stop();
  EXPECT_EQ(a.held(), 0u);
  send(a, b.info().mac, 3);
  net.advance(1'000'000'000);
  EXPECT_EQ(marks(b), (std::vector<int>{1}));
  EXPECT_TRUE(marks(a).empty());
  EXPECT_EQ(net.done().lost, 1u);
}

// Two senders, one receiver: what does not fit in front of its cable is lost.
TEST(SimPort, TheSwitchOverflows) {
  SimNet net(1);
  SimPort& a = net.add_port({.gbps = 10});
  SimPort& b = net.add_port({.gbps = 10});
  SimPort& c = net.add_port({.gbps = 10, .switch_room = 3000});
  for (uint8_t i = 0; i < 20; i++) {
    send(a, c.info().mac, i, 1000);
    send(b, c.info().mac, i, 1000);
  }
  net.advance(1'000'000);
  const size_t came = marks(c).size();
  EXPECT_GE(came, 21u);
  EXPECT_LE(came, 24u);
  EXPECT_EQ(came + c.overflowed(), 40u);
  EXPECT_EQ(a.lost() + b.lost(), 0u);
}

// From some length of the queue on, and only what says that it may be marked. The headers stay
// right.
TEST(SimPort, TheSwitchMarks) {
  SimNet net(1);
  SimPort& a = net.add_port({.gbps = 100});
  SimPort& b = net.add_port({.gbps = 10, .mark_at = 2000});
  const auto send_ip = [&](uint8_t tos) {
    std::array<Frame, 1> f;
    ASSERT_EQ(a.tx_alloc(f), 1u);
    std::memset(f[0].data, 0, 1000);
    std::memcpy(f[0].data, b.info().mac.data(), 6);
    f[0].data[12] = std::byte{8};
    std::byte* ip = f[0].data + 14;
    ip[0] = std::byte{0x45};
    ip[1] = std::byte{tos};
    const uint16_t sum = InternetSum().add({ip, 20}).checksum();
    ip[10] = std::byte{static_cast<uint8_t>(sum >> 8)};
    ip[11] = std::byte{static_cast<uint8_t>(sum)};
    f[0].len = 1000;
    ASSERT_EQ(a.tx_burst(f), 1u);
  };
  for (int i = 0; i < 10; i++)
    send_ip(i % 2 == 0 ? 2 : 0);
  net.advance(1'000'000);
  std::array<Frame, 10> f;
  ASSERT_EQ(b.rx_burst(f), 10u);
  for (size_t i = 0; i < f.size(); i++) {
    const auto tos = std::to_integer<int>(f[i].data[15]);
    EXPECT_EQ(tos, i % 2 == 1 ? 0 : i < 3 ? 2 : 3) << i;
    EXPECT_TRUE(InternetSum().add({f[i].data + 14, 20}).good()) << i;
  }
  EXPECT_EQ(b.marked(), 3u);
  b.release(f);
}

// Damage that the checksum of UDP cannot see.
TEST(SimPort, AForgedFrameHasTheSameSum) {
  SimNet net(9);
  SimPort& a = net.add_port({.faults = {.forge = 1'000'000}});
  SimPort& b = net.add_port();
  std::array<std::byte, 200> sent{};
  for (size_t i = 0; i < sent.size(); i++)
    sent[i] = std::byte{static_cast<uint8_t>(i * 7)};
  std::memcpy(sent.data(), b.info().mac.data(), 6);
  for (int i = 0; i < 50; i++) {
    std::array<Frame, 1> f;
    ASSERT_EQ(a.tx_alloc(f), 1u);
    std::memcpy(f[0].data, sent.data(), sent.size());
    f[0].len = sent.size();
    ASSERT_EQ(a.tx_burst(f), 1u);
  }
  net.advance(10'000);
  std::array<Frame, 50> f;
  ASSERT_EQ(b.rx_burst(f), 50u);
  for (const Frame& frame : f) {
    EXPECT_NE(std::memcmp(frame.data, sent.data(), sent.size()), 0);
    EXPECT_EQ(ones_sum({frame.data + 14, 186}), ones_sum(std::span(sent).subspan(14)));
  }
  b.release(f);
}

TEST(SimPort, LargeFramesVanish) {
  SimNet net(1);
  SimPort& a = net.add_port({.faults = {.swallow_above = 1000}});
  SimPort& b = net.add_port();
  send(a, b.info().mac, 1, 1001);
  send(a, b.info().mac, 2, 1000);
  net.advance(10'000);
  EXPECT_EQ(marks(b), (std::vector<int>{2}));
}

TEST(SimNet, APartitionIsOneWay) {
  SimNet net(1);
  SimPort& a = net.add_port();
  SimPort& b = net.add_port();
  SimPort& c = net.add_port();
  net.join(a, b, false);
  send(a, kAll, 1);
  send(b, a.info().mac, 2);
  net.advance(10'000);
  EXPECT_TRUE(marks(b).empty());
  EXPECT_EQ(marks(c), (std::vector<int>{1}));
  EXPECT_EQ(marks(a), (std::vector<int>{2}));
  net.join(a, b, true);
  send(a, b.info().mac, 3);
  net.advance(20'000);
  EXPECT_EQ(marks(b), (std::vector<int>{3}));
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
