#include "dataplane/link/path_mtu.h"

#include <gtest/gtest.h>

#include "tests/support/link_rig.h"

namespace penstock {
namespace {

using test::Flow;
using test::LinkRig;
using test::RigConfig;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr uint32_t kEthernet = 14;

// Probes until nothing is due for long, on a path that carries `carries`.
struct Prober {
  PathMtu mtu;
  uint64_t now = kSecond;
  int probes = 0;

  void run(uint32_t carries) {
    while (mtu.next_at() <= now + 10 * kMs) {
      now = std::max(now, mtu.next_at());
      const uint32_t size = mtu.due(now);
      if (size == 0) continue;
      probes++;
      mtu.sent(now, kMs);
      if (size <= carries) mtu.answered(now += 1000);
    }
  }
};

TEST(PathMtu, TheLargestIsTriedFirst) {
  Prober p;
  p.mtu.reset(1200, 8972, p.now);
  EXPECT_EQ(p.mtu.size(), 1200u);
  p.run(10'000);
  EXPECT_EQ(p.mtu.size(), 8972u);
  EXPECT_EQ(p.probes, 1);
  EXPECT_EQ(p.mtu.next_at(), PathMtu::kNever);
}

TEST(PathMtu, SettlesOnWhatNetworksHave) {
  for (const auto& [carries, size] :
       {std::pair{8960u, 8952u}, {5000u, 4304u}, {1472u, 1452u}, {1400u, 1352u}, {1210u, 1200u}}) {
    Prober p;
    p.mtu.reset(1200, 8972, p.now);
    p.run(carries);
    EXPECT_EQ(p.mtu.size(), size);
    EXPECT_LE(p.mtu.next_at(), p.now + PathMtu::kRaiseNs);
  }
}

TEST(PathMtu, OneLostProbeDecidesNothing) {
  PathMtu m;
  m.reset(1200, 1472, 0);
  EXPECT_EQ(m.due(0), 1472u);
  m.sent(0, 100);
  EXPECT_EQ(m.due(99), 0u);
  EXPECT_EQ(m.due(100), 1472u);
  m.sent(100, 100);
  m.answered(150);
  EXPECT_EQ(m.size(), 1472u);
}

TEST(PathMtu, OnlyLargePacketsThatAreTheLastToBeSentProveAnything) {
  Prober p;
  p.mtu.reset(1200, 1472, p.now);
  p.run(1472);
  for (uint64_t n = 1; n < 100; n++)
    EXPECT_FALSE(p.mtu.lost(n, 1000, p.now)) << "small ones are lost for other reasons";
  p.mtu.acked(200, 1472);
  for (uint64_t n = 100; n < 200; n++)
    EXPECT_FALSE(p.mtu.lost(n, 1472, p.now)) << "one that was sent later arrived";
  EXPECT_FALSE(p.mtu.lost(201, 1472, p.now));
  EXPECT_FALSE(p.mtu.lost(202, 1472, p.now));
  EXPECT_TRUE(p.mtu.lost(203, 1472, p.now));
  EXPECT_EQ(p.mtu.size(), 1200u);
  p.run(1400);
  EXPECT_EQ(p.mtu.size(), 1352u);
}

// Packet numbers begin anew: what arrived in the last connection is no later than what is lost now.
TEST(PathMtu, TheNextConnectionFindsOutToo) {
  Prober p;
  p.mtu.reset(1200, 8972, p.now);
  p.run(10'000);
  p.mtu.acked(1'000'000, 8972);
  p.mtu.reset(1200, 8972, p.now);
  p.run(10'000);
  EXPECT_FALSE(p.mtu.lost(1, 8972, p.now));
  EXPECT_FALSE(p.mtu.lost(2, 8972, p.now));
  EXPECT_TRUE(p.mtu.lost(3, 8972, p.now));
}

class NarrowPath : public ::testing::Test {
 protected:
  explicit NarrowPath(const RigConfig& c = {}) : rig(c) {}
  void carry(uint32_t frame) {
    for (size_t i = 0; i < 2; i++)
      rig.side(i).port->faults.swallow_above = frame + kEthernet;
  }
  bool deliver(Flow& f, uint64_t total) {
    return rig.run_until(
        [&] {
          f.publish(4);
          f.read(100);
          return f.ledger.delivered() + f.ledger.gaps() >= total;
        },
        5 * kSecond);
  }
  Flow& flow() {
    return rig.add_flow(0, {.lane = {.ring_log2 = 6, .arena_log2 = 18, .topics = 1},
                            .mirror = {.ring_log2 = 6, .arena_log2 = 18, .topics = 1},
                            .max_len = 20'000,
                            .total = 400});
  }
  LinkRig rig;
};

TEST_F(NarrowPath, IsFoundOutBeforeItMatters) {
  carry(1400);
  ASSERT_TRUE(rig.connect());
  rig.run_for(kSecond);
  EXPECT_EQ(rig.link(0).path_limit(), 1352u);
  EXPECT_EQ(rig.link(1).path_limit(), 1352u);
  Flow& f = flow();
  EXPECT_TRUE(deliver(f, 400));
  EXPECT_EQ(f.ledger.wrong(), 0u) << f.ledger.text();
}

// In the middle of messages: what was cut too large is cut anew. And up again later.
TEST_F(NarrowPath, ComesAndGoesInTheMiddleOfMessages) {
  ASSERT_TRUE(rig.connect());
  Flow& f = flow();
  ASSERT_TRUE(deliver(f, 100));
  EXPECT_EQ(rig.link(0).path_limit(), rig.link(0).frame_limit());
  carry(1300);
  EXPECT_TRUE(deliver(f, 300)) << rig.text(0);
  rig.run_for(100 * kMs);
  EXPECT_EQ(rig.link(0).path_limit(), 1232u);
  EXPECT_EQ(rig.link(0).stats().narrowed.read(), 1u);
  for (size_t i = 0; i < 2; i++)
    rig.side(i).port->faults.swallow_above = 0;
  rig.run_for(PathMtu::kRaiseNs + kSecond);
  EXPECT_EQ(rig.link(0).path_limit(), rig.link(0).frame_limit());
  EXPECT_TRUE(deliver(f, 400));
  EXPECT_EQ(f.ledger.wrong(), 0u) << f.ledger.text();
  EXPECT_EQ(f.ledger.gaps(), 0u);
}

// One packet at a time, each lost now and then: of what was one frame and is cut into nine, each
// piece has to be remembered by itself.
class NarrowWindow : public NarrowPath {
 protected:
  static RigConfig config() {
    RigConfig c;
    c.port.max_frame = 9014;
    c.link.window = 1;
    return c;
  }
  NarrowWindow() : NarrowPath(config()) {}
};

TEST_F(NarrowWindow, NothingIsForgottenOfWhatWasCut) {
  ASSERT_TRUE(rig.connect());
  Flow& f = flow();
  ASSERT_TRUE(deliver(f, 20));
  for (uint32_t n = 20; n < 100; n += 20) {
    for (size_t i = 0; i < 2; i++)
      rig.side(i).port->faults.lose = 300'000;
    carry(n % 40 == 20 ? 1200 : 9000);
    EXPECT_TRUE(rig.run_until(
        [&] {
          f.publish(4);
          f.read(100);
          return f.ledger.delivered() >= n + 20;
        },
        1000 * kSecond))
        << n << rig.text(0);
  }
  EXPECT_EQ(f.ledger.wrong(), 0u) << f.ledger.text();
}

}  // namespace
}  // namespace penstock
