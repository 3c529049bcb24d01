// Everything that a path can do to frames, by seed. Replay one: the failure prints how.
#include <gtest/gtest.h>
#include <iostream>

#include "tests/support/link_rig.h"
#include "tests/support/seeds.h"

namespace penstock {
namespace {

using test::Flow;
using test::FlowConfig;
using test::LinkRig;
using test::Random;
using test::RigConfig;

constexpr uint64_t kSecond = 1'000'000'000;

template <class T, size_t N>
T pick(Random& r, const T (&of)[N]) {
  return of[r.below(N)];
}

// A path as bad as the seed says: up to 30 % lost, in runs, doubled, damaged, late, out of order.
SimFaults random_faults(Random& r) {
  SimFaults f;
  const uint32_t percent = 10'000;
  f.lose_run = pick(r, {1u, 1u, 3u, 8u});
  f.lose = static_cast<uint32_t>(r.below(30 * percent)) / f.lose_run;
  f.duplicate = static_cast<uint32_t>(r.below(20 * percent));
  f.damage = static_cast<uint32_t>(r.below(5 * percent));
  f.forge = static_cast<uint32_t>(r.below(2 * percent));
  f.reorder = static_cast<uint32_t>(r.below(20 * percent));
  if (r.chance(20)) f.swallow_above = static_cast<uint32_t>(1214 + r.below(8000));
  f.delay_ns = pick(r, {200u, 5'000u, 100'000u, 1'000'000u});
  f.jitter_ns = pick(r, {0u, 0u, 1'000u, 50'000u});
  f.reorder_ns = pick(r, {5'000u, 100'000u});
  return f;
}

FlowConfig random_flow(Random& r, uint32_t alias) {
  FlowConfig c;
  c.alias = alias;
  c.seed = r();
  c.max_len = pick(r, {1u, 64u, 1000u, 3000u, 20'000u, 262'144u});
  c.total = c.max_len > 20'000 ? 20 : 150;
  uint32_t arena_log2 = 12;
  while ((uint64_t{1} << arena_log2) < c.max_len)
    arena_log2++;
  c.mirror.arena_log2 = arena_log2 + pick(r, {0u, 0u, 1u, 3u});
  c.mirror.ring_log2 = pick(r, {2u, 4u, 8u});
  c.lane.arena_log2 = arena_log2 + 2;
  c.lane.ring_log2 = pick(r, {3u, 6u});
  c.first = r.chance(30) ? (uint64_t{1} << 32) - r.below(c.total) : 0;
  c.copy_payloads = r.chance(20);
  return c;
}

struct Outcome {
  uint64_t trace = 0;
  bool done = false;
  uint64_t wrong = 0;
  uint64_t gaps = 0;
  uint64_t held = 0;
  bool accounts = true;  // sent = delivered, nothing in flight, no reference kept
  SimFaultCounts injected;
  uint64_t messages = 0;
  std::string text;
};

Outcome run(uint64_t seed) {
  Random r(seed);
  RigConfig c;
  c.seed = seed;
  c.port.max_frame = pick(r, {1514u, 1514u, 9014u});
  c.port.tx_room = pick(r, {1u, 7u, 1024u});
  c.port.tx_ns = pick(r, {0u, 0u, 20'000u});
  c.port.rx_queue = pick(r, {16u, 4096u, 4096u});
  c.port.faults = random_faults(r);
  c.link.window = pick(r, {1u, 8u, 64u, 256u});
  c.link.congestion = r.chance(60);
  c.link.first_packet = r.chance(30) ? (uint64_t{1} << 32) - r.below(300) : 1;
  c.link.min_pto_ns = pick(r, {20'000u, 100'000u, 2'000'000u});
  c.link.dead_after_ns = 100 * kSecond;  // runs of losses may last for many probes
  LinkRig rig(c);
  Outcome o;
  if (!rig.connect()) {
    o.text = "never up";
    return o;
  }
  const uint64_t flows = 1 + r.below(4);
  for (uint32_t i = 0; i < flows; i++)
    rig.add_flow(r.below(2), random_flow(r, i));
  const auto eager = static_cast<uint32_t>(5 + r.below(95));  // how often a reader reads
  rig.application = [&] {
    for (auto& f : rig.flows()) {
      if (r.chance(50)) f->publish(1 + r.below(20));
      if (r.chance(eager)) f->read(1 + r.below(8));
    }
    return false;
  };
  o.done = rig.run_until(
      [&] {
        bool all = true;
        for (auto& f : rig.flows())
          all = all && f->done();
        return all;
      },
      200 * kSecond);
  rig.run_for(10'000'000);  // what is still in the air arrives, and is known
  rig.run_until([&] { return rig.net().held() == 0; }, 10'000'000);
  o.trace = rig.net().trace();
  o.injected = rig.net().done();
  o.held = rig.net().held();
  for (auto& f : rig.flows()) {
    o.wrong += f->ledger.wrong();
    o.gaps += f->ledger.gaps();
    o.messages += f->ledger.count();
    o.accounts = o.accounts && f->lane.region().in_flight.idle() && f->out.idle() &&
                 f->out.stats().sent.read() == f->in.stats().delivered.read() &&
                 f->in.stats().delivered.read() == f->ledger.count();
    o.text += f->ledger.text() + "; ";
  }
  for (size_t i = 0; i < 2; i++)
    o.text += rig.text(i);
  return o;
}

SimFaultCounts injected;
uint64_t messages = 0;

class Faults : public ::testing::TestWithParam<uint64_t> {
 protected:
  static void SetUpTestSuite() {
    injected = {};
    messages = 0;
  }
  static void TearDownTestSuite() {
    std::cout << "links under faults: " << messages << " messages, frames lost " << injected.lost
              << ", doubled " << injected.doubled << ", damaged " << injected.damaged << ", forged "
              << injected.forged << ", reordered " << injected.reordered << "\n";
  }
};

TEST_P(Faults, LoseNothing) {
  const uint64_t seed = GetParam();
  const Outcome o = run(seed);
  const std::string replay =
      test::replay("dataplane/link/tests_link", "Faults.LoseNothing", seed) + o.text;
  injected.add(o.injected);
  messages += o.messages;
  EXPECT_TRUE(o.done) << replay;
  EXPECT_EQ(o.wrong, 0u) << replay;
  EXPECT_EQ(o.gaps, 0u) << replay;
  EXPECT_EQ(o.held, 0u) << replay;
  EXPECT_TRUE(o.accounts) << replay;
}

INSTANTIATE_TEST_SUITE_P(Seeds, Faults, ::testing::Range<uint64_t>(0, test::seeds(400)));

TEST(Faults, SameSeedSameRun) {
  for (uint64_t seed = 0; seed < 20; seed++) {
    const uint64_t first = run(seed).trace;
    EXPECT_EQ(run(seed).trace, first) << "seed " << seed;
    EXPECT_NE(run(seed + 1000).trace, first) << "seed " << seed;
  }
}

}  // namespace
}  // namespace penstock
