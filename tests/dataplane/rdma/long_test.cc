// Many messages, of 1 byte to 64 MiB, over two rails whose queue pairs are killed all the time and
// whose cables are pulled now and then. Long runs: PENSTOCK_SEEDS=10000 is 100,000 messages.
#include <algorithm>
#include <gtest/gtest.h>
#include <iostream>

#include "tests/dataplane/rdma/rdma_rig.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

using test::Flow;
using test::FlowConfig;
using test::Random;
using test::RdmaRig;
using test::RdmaRigConfig;

constexpr uint64_t kMs = 1'000'000;

class RdmaLong : public ::testing::TestWithParam<uint64_t> {};

// One lane for each size of messages, so that sizes are spread as their logarithm.
FlowConfig flow(uint32_t alias, uint64_t most, uint64_t messages) {
  FlowConfig c;
  c.alias = alias;
  c.seed = alias + 1;
  c.max_len = most;
  c.total = messages;
  c.lane.arena_log2 = c.mirror.arena_log2 = 14;
  while (uint64_t{1} << c.mirror.arena_log2 < 2 * most)
    c.mirror.arena_log2 = ++c.lane.arena_log2;
  return c;
}

TEST_P(RdmaLong, LosesNothingUpTo64MiB) {
  const uint64_t messages = 10 * test::seeds(40);
  Random r(GetParam());
  RdmaRigConfig c;
  c.rig.seed = GetParam();
  c.rig.link.dead_after_ns = 100'000 * kMs;
  c.rig.port.max_frame = 9014;
  c.rig.port.gbps = 100;
  c.gbps = {100, 40};
  c.fabric.faults.delay_ns = 2'000;
  c.fabric.faults.jitter_ns = 2'000;
  c.fabric.faults.swapped = 100'000;
  RdmaRig rig(c);
  ASSERT_TRUE(rig.rig.connect());
  rig.join();
  for (const uint64_t most : {64 << 20, 512 << 10, 4096, 64})
    rig.add_flow(0, flow(static_cast<uint32_t>(rig.rig.flows().size()), most, messages / 4));
  uint64_t kill_at = rig.rig.now();
  uint64_t cut_at = kill_at;
  uint64_t mend_at = ~uint64_t{0};
  uint64_t kills = 0;
  uint64_t cuts = 0;
  rig.application = [&] {
    const uint64_t now = rig.rig.now();
    for (auto& f : rig.rig.flows()) {
      f->publish(8);
      f->read(8);
    }
    const size_t rail = r.below(rig.rails());
    if (now >= kill_at && rig.path(0, rail).state() == RdmaPath::State::kUp) {
      rig.endpoint(r.below(2), rail).stop();
      kill_at = now + 5 * kMs + r.below(20 * kMs);
      kills++;
    }
    if (now >= cut_at) {
      rig.fabric(0, rail).set_port(false);
      cut_at = ~uint64_t{0};
      mend_at = now + r.below(10 * kMs);
      cuts++;
    } else if (now >= mend_at) {
      for (size_t i = 0; i < rig.rails(); i++)
        rig.fabric(0, i).set_port(true);
      mend_at = ~uint64_t{0};
      cut_at = now + 20 * kMs + r.below(100 * kMs);
    }
  };
  const auto done = [&] {
    return std::ranges::all_of(rig.rig.flows(), [](const auto& f) { return f->done(); });
  };
  EXPECT_TRUE(rig.rig.run_until(done, 100'000'000 * messages))
      << rig.rig.text(0) << rig.rig.text(1);
  uint64_t bytes = 0;
  uint64_t again = 0;
  for (size_t i = 0; i < rig.rails(); i++) {
    bytes += rig.path(1, i).stats().taken_bytes.read();
    again += rig.path(0, i).stats().again.read();
    EXPECT_EQ(rig.fabric(0, i).used_after_deregistration(), 0u);
    EXPECT_EQ(rig.fabric(1, i).stats().receiver_not_ready.read(), 0u);
  }
  for (const auto& f : rig.rig.flows()) {
    EXPECT_EQ(f->ledger.wrong(), 0u) << f->ledger.text();
    EXPECT_EQ(f->ledger.gaps(), 0u) << f->ledger.text();
    EXPECT_EQ(f->ledger.count(), messages / 4);
  }
  std::cout << messages << " messages to 64 MiB: " << bytes << " bytes by RDMA, " << kills
            << " queue pairs killed, " << cuts << " cables pulled, " << again
            << " messages sent on by frames\n";
  EXPECT_GT(bytes, messages * (100 << 10));
  EXPECT_GT(kills, messages / 200);
  EXPECT_GT(cuts, messages / 1000);
  EXPECT_GT(again, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RdmaLong, ::testing::Values(1));

}  // namespace
}  // namespace penstock
