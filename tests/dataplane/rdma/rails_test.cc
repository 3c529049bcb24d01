// Several rails beside a link, on virtual time: what each gets, how much faster it is, and what
// happens to the others when one fails.
#include "dataplane/rails.h"

#include <gtest/gtest.h>

#include "tests/dataplane/rdma/rdma_rig.h"

namespace penstock {
namespace {

using test::Flow;
using test::FlowConfig;
using test::RdmaRig;
using test::RdmaRigConfig;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kMiB = 1 << 20;

RdmaRigConfig with(std::vector<uint32_t> gbps) {
  RdmaRigConfig c;
  c.rig.port.max_frame = 9014;
  c.rig.link.dead_after_ns = 100 * kSecond;
  c.gbps = std::move(gbps);
  return c;
}

// Messages of about `len` bytes, two of which are under way at a time.
FlowConfig of(uint64_t len, uint64_t total) {
  FlowConfig f;
  f.max_len = len;
  f.total = total;
  f.lane.arena_log2 = 13;
  while ((uint64_t{1} << f.lane.arena_log2) < 2 * len)
    f.lane.arena_log2++;
  f.mirror.arena_log2 = f.lane.arena_log2;
  return f;
}

void hurry(RdmaRig& r) {
  r.application = [&r] {
    for (auto& f : r.rig.flows()) {
      f->publish(8);
      f->read(8);
    }
  };
}

// How long they take, all; 0: they did not get there.
uint64_t time_of(RdmaRig& r, const FlowConfig& c) {
  EXPECT_TRUE(r.rig.connect());
  r.join();
  Flow& f = r.add_flow(0, c);
  hurry(r);
  const uint64_t from = r.rig.now();
  EXPECT_TRUE(r.rig.run_until([&] { return f.done(); }, 20 * kSecond)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong() + f.ledger.gaps(), 0u) << f.ledger.text();
  return r.rig.now() - from;
}

uint64_t sent(RdmaRig& r, size_t rail) {
  return r.path(0, rail).stats().put_bytes.read();
}

TEST(Rails, TwoEqualOnesCarryLargeMessagesTwiceAsFast) {
  const FlowConfig messages = of(64 * kMiB, 12);
  RdmaRig one(with({100}));
  RdmaRig two(with({100, 100}));
  const uint64_t alone = time_of(one, messages);
  const uint64_t together = time_of(two, messages);
  RecordProperty("one_us", static_cast<int>(alone / 1000));
  RecordProperty("two_us", static_cast<int>(together / 1000));
  EXPECT_GT(two.stats(0).striped.read(), 0u);
  EXPECT_LT(static_cast<double>(together), 0.55 * static_cast<double>(alone));
}

TEST(Rails, SharesFollowWhatTheyCarry) {
  RdmaRig r(with({100, 50, 25}));
  (void)time_of(r, of(16 * kMiB, 150));
  const auto all = static_cast<double>(sent(r, 0) + sent(r, 1) + sent(r, 2));
  EXPECT_NEAR(static_cast<double>(sent(r, 0)) / all, 100.0 / 175, 0.05);
  EXPECT_NEAR(static_cast<double>(sent(r, 1)) / all, 50.0 / 175, 0.05);
  EXPECT_NEAR(static_cast<double>(sent(r, 2)) / all, 25.0 / 175, 0.05);
}

// Below the size that is cut, whole messages are shared out.
TEST(Rails, MessagesThatAreNotCutGoByBoth) {
  RdmaRigConfig c = with({100, 100});
  c.guess = 12'500'000'000;
  RdmaRig r(c);
  FlowConfig many = of(kMiB, 600);
  many.lane.arena_log2 = many.mirror.arena_log2 = 25;
  (void)time_of(r, many);
  EXPECT_EQ(r.stats(0).striped.read(), 0u);
  const auto all = static_cast<double>(sent(r, 0) + sent(r, 1));
  EXPECT_NEAR(static_cast<double>(sent(r, 0)) / all, 0.5, 0.1);
}

// One that fails ends alone: nothing is lost, the other one is not disturbed, and takes what comes.
TEST(Rails, OneThatFailsEndsAlone) {
  RdmaRigConfig c = with({100, 100});
  c.again_ns = kSecond;  // it stays away
  RdmaRig r(c);
  ASSERT_TRUE(r.rig.connect());
  r.join();
  Flow& f = r.add_flow(0, of(16 * kMiB, 100));
  hurry(r);
  ASSERT_TRUE(r.rig.run_until([&] { return f.ledger.next() > 40; }, 20 * kSecond));
  r.fabric(0, 1).break_next(FabricCode::kTimeout, false);
  ASSERT_TRUE(r.rig.run_until([&] { return f.done(); }, 20 * kSecond)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong() + f.ledger.gaps(), 0u) << f.ledger.text();
  EXPECT_EQ(r.path(0, 1).stats().errors.read(), 1u);
  EXPECT_GT(r.path(0, 1).stats().again_bytes.read(), 0u);
  EXPECT_EQ(r.path(0, 0).stats().errors.read(), 0u);
  EXPECT_EQ(r.path(0, 0).stats().again_bytes.read(), 0u);
  EXPECT_EQ(r.stats(0).by_frames.read(), 0u) << "the other one took them";
  EXPECT_GT(sent(r, 0), sent(r, 1));
}

// A device that reaches nobody is tried again and again, and never with a message.
TEST(Rails, OneThatDoesNotWorkCostsNoMessageATry) {
  RdmaRig r(with({100, 100}));
  r.fabric(0, 1).faults.broken = 1'000'000;
  r.fabric(1, 1).faults.broken = 1'000'000;
  (void)time_of(r, of(16 * kMiB, 60));
  r.rig.run_for(20'000'000);
  EXPECT_GT(r.path(0, 1).stats().errors.read(), 5u);
  EXPECT_EQ(r.path(0, 1).stats().puts.read(), 0u);
  EXPECT_EQ(r.path(0, 1).stats().bytes_per_s.load(), 0u);
  EXPECT_EQ(r.path(0, 0).stats().again_bytes.read(), 0u);
  EXPECT_EQ(r.stats(0).by_frames.read(), 0u);
}

// It comes back and gets its share again.
TEST(Rails, OneThatComesBackIsUsedAgain) {
  RdmaRig r(with({100, 100}));
  ASSERT_TRUE(r.rig.connect());
  r.join();
  Flow& f = r.add_flow(0, of(16 * kMiB, 150));
  hurry(r);
  ASSERT_TRUE(r.rig.run_until([&] { return f.ledger.next() > 30; }, 20 * kSecond));
  r.endpoint(1, 0).stop();
  ASSERT_TRUE(r.rig.run_until([&] { return r.joins() == 3; }, 20 * kSecond));
  const uint64_t before = sent(r, 0);
  ASSERT_TRUE(r.rig.run_until([&] { return f.done(); }, 20 * kSecond)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong() + f.ledger.gaps(), 0u) << f.ledger.text();
  EXPECT_GT(sent(r, 0), before + 16 * kMiB);
}

}  // namespace
}  // namespace penstock
