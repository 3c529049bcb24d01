// Lanes over RDMA: two links, two simulated devices, everything that can go wrong, by seed.
#include "dataplane/rdma_path.h"

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

constexpr uint64_t kSecond = 1'000'000'000;

RdmaRigConfig plain() {
  RdmaRigConfig c;
  c.rig.port.max_frame = 9014;
  c.rig.link.dead_after_ns = 100 * kSecond;
  c.fabric.receive_depth = 256;
  return c;
}

FlowConfig large(uint64_t max_len, uint64_t total) {
  FlowConfig f;
  f.max_len = max_len;
  f.total = total;
  f.lane.arena_log2 = 24;
  f.mirror.arena_log2 = 23;
  return f;
}

// Everybody publishes and reads as fast as there is room.
void hurry(RdmaRig& r) {
  r.application = [&r] {
    for (auto& f : r.rig.flows()) {
      f->publish(8);
      f->read(8);
    }
  };
}

bool all_done(RdmaRig& r) {
  return std::ranges::all_of(r.rig.flows(), [](const auto& f) { return f->done(); });
}

TEST(RdmaPath, LargeMessagesGoByPutsAndNothingOfThemByFrames) {
  RdmaRig r(plain());
  ASSERT_TRUE(r.rig.connect());
  r.join();
  Flow& f = r.add_flow(0, large(1 << 20, 300));
  hurry(r);
  ASSERT_TRUE(r.rig.run_until([&] { return all_done(r); }, 20 * kSecond)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong(), 0u);
  EXPECT_EQ(f.ledger.gaps(), 0u);
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t small = 0;
  for (uint64_t i = 0; i < 300; i++) {
    const uint64_t len = f.ledger.length(i);
    if (len < 16384) {
      small += len;
    } else {
      messages++;
      bytes += len;
    }
  }
  EXPECT_GT(messages, 50u);
  EXPECT_EQ(r.path(0).stats().puts.read(), messages);
  EXPECT_EQ(r.path(0).stats().put_bytes.read(), bytes);
  EXPECT_EQ(r.path(1).stats().taken.read(), messages);
  EXPECT_EQ(r.path(1).stats().taken_bytes.read(), bytes);
  EXPECT_EQ(r.path(0).stats().again_bytes.read(), 0u);
  // What went by frames is the small messages, headers and acknowledgements.
  EXPECT_LT(r.rig.link(0).stats().tx_bytes.read(), 2 * small + 200'000);
  EXPECT_EQ(r.fabric(1).stats().receiver_not_ready.read(), 0u);
}

// What came by frames is counted and marked, but for what is small.
TEST(RdmaPath, WithoutAConnectionLargeOnesGoByFramesAndAreMarked) {
  RdmaRig r(plain());
  ASSERT_TRUE(r.rig.connect());
  Flow& f = r.add_flow(0, large(1 << 18, 100));
  f.in.set_large_from(16384);
  uint64_t marked = 0;
  uint64_t many = 0;
  r.application = [&] {
    f.publish(8);
    for (Message m; f.reader.next(m) == LaneReader::Next::kMessage;) {
      EXPECT_EQ(m.flags, m.len < 16384 ? 0 : kFlagCopied);
      many += m.len < 16384 ? 0 : 1;
      marked += m.flags != 0 ? 1 : 0;
      f.ledger.got(m);
    }
    f.reader.release();
  };
  ASSERT_TRUE(r.rig.run_until([&] { return all_done(r); }, 20 * kSecond)) << f.ledger.text();
  EXPECT_GT(many, 20u);
  EXPECT_EQ(marked, many);
  EXPECT_EQ(f.in.stats().copied.read(), many);
  EXPECT_EQ(f.in.stats().put.read(), 0u);
  EXPECT_EQ(f.ledger.wrong(), 0u);
}

// Held back, and all behind it, until there is a connection; and once more when that fails.
TEST(RdmaPath, WhoWaitsForAConnectionSendsNothingLargeByFrames) {
  RdmaRig r(plain());
  ASSERT_TRUE(r.rig.connect());
  Flow& f = r.add_flow(0, large(1 << 18, 200));
  f.in.set_large_from(16384);
  f.out.hold_for_puts(16384);
  hurry(r);
  uint64_t first = 0;  // large one
  while (f.ledger.length(first) < 16384)
    first++;
  r.rig.run_for(kSecond);
  EXPECT_EQ(f.in.stats().delivered.read(), first);
  EXPECT_EQ(f.out.stats().held.load(), first + 1);
  r.join();
  ASSERT_TRUE(r.rig.run_until([&] { return f.in.stats().put.read() > 20; }, 20 * kSecond));
  EXPECT_EQ(f.out.stats().held.load(), 0u);
  r.path(0).stop();
  ASSERT_TRUE(r.rig.run_until([&] { return all_done(r); }, 20 * kSecond)) << f.ledger.text();
  EXPECT_EQ(r.joins(), 2u);
  EXPECT_EQ(f.in.stats().copied.read(), 0u);
  EXPECT_EQ(f.ledger.wrong(), 0u);
}

TEST(RdmaPath, OneMessageOfManyChunks) {
  RdmaRig r(plain());
  ASSERT_TRUE(r.rig.connect());
  r.join();
  FlowConfig c = large(1 << 27, 1);
  c.lane.arena_log2 = 27;
  c.mirror.arena_log2 = 27;
  while (test::Ledger(c.seed, c.max_len, 0).length(0) < 100'000'000)
    c.seed++;
  Flow& f = r.add_flow(0, c);
  const uint64_t len = f.ledger.length(0);
  hurry(r);
  ASSERT_TRUE(r.rig.run_until([&] { return all_done(r); }, 20 * kSecond));
  EXPECT_EQ(f.ledger.wrong(), 0u);
  EXPECT_EQ(r.path(1).stats().taken_bytes.read(), len);
  EXPECT_EQ(r.fabric(1).stats().immediates.read(), (len + (1 << 20) - 1) / (1 << 20) + 1);
}

struct Outcome {
  bool done = false;
  uint64_t wrong = 0;
  uint64_t gaps = 0;
  uint64_t trace = 0;
  uint64_t misuse = 0;  // memory used after it was given back
  uint64_t not_ready = 0;
  uint64_t messages = 0;
  uint64_t puts = 0;
  uint64_t striped = 0;
  uint64_t again = 0;
  uint64_t held_put = 0;     // of lanes that wait for RDMA: messages that came by it,
  uint64_t held_copied = 0;  // and that did not, though their mirror always has room for one
  uint64_t errors = 0;
  uint64_t joins = 0;
  bool accounts = true;
  std::string text;
};

FlowConfig random_flow(Random& r, uint32_t alias) {
  FlowConfig c;
  c.alias = alias;
  c.seed = r();
  constexpr uint64_t kMost[] = {3'000, 40'000, 262'144, 3 << 20};
  c.max_len = kMost[r.below(4)];
  c.total = c.max_len > 100'000 ? 40 : 150;
  uint32_t arena_log2 = 12;
  while ((uint64_t{1} << arena_log2) < c.max_len)
    arena_log2++;
  c.mirror.arena_log2 = arena_log2 + static_cast<uint32_t>(r.below(3));
  c.mirror.ring_log2 = static_cast<uint32_t>(2 + r.below(5));
  c.lane.arena_log2 = arena_log2 + 2;
  c.lane.ring_log2 = static_cast<uint32_t>(3 + r.below(4));
  c.first = r.chance(30) ? (uint64_t{1} << 32) - r.below(c.total) : 0;
  return c;
}

// Devices that are late, swap, and break; queue pairs that are killed, cables pulled, frames lost.
Outcome run(uint64_t seed) {
  Random r(seed);
  RdmaRigConfig c = plain();
  c.rig.seed = seed;
  c.rig.port.max_frame = r.chance(50) ? 1514 : 9014;
  c.rig.port.faults.lose = static_cast<uint32_t>(r.below(100'000));
  c.rig.port.faults.reorder = static_cast<uint32_t>(r.below(100'000));
  c.put_from = r.chance(50) ? 16384 : 2048;
  c.window = static_cast<uint32_t>(4 + r.below(60));
  c.fabric.receive_depth = 64;
  c.fabric.send_depth = static_cast<uint32_t>(16 << r.below(5));
  c.gbps.assign(1 + r.below(3), 0);
  for (uint32_t& gbps : c.gbps)
    gbps = r.chance(50) ? 100 : static_cast<uint32_t>(r.below(3)) * 20;
  c.stripe_from = r.chance(50) ? 4096 : 100'000;
  c.fabric.faults.delay_ns = 500 + r.below(5000);
  c.fabric.faults.jitter_ns = r.below(20'000);
  c.fabric.faults.late = static_cast<uint32_t>(r.below(50'000));
  c.fabric.faults.swapped = static_cast<uint32_t>(r.below(400'000));
  c.fabric.faults.broken = r.chance(70) ? static_cast<uint32_t>(r.below(150'000)) : 0;
  c.tell_ns = 1000 + r.below(3'000'000);
  c.again_ns = r.below(3'000'000);
  RdmaRig rig(c);
  Outcome o;
  if (!rig.rig.connect()) return o;
  rig.join();
  const uint64_t flows = 1 + r.below(4);
  for (uint32_t i = 0; i < flows; i++)
    rig.add_flow(r.below(2), random_flow(r, i));
  const bool hold = seed % 3 == 0;
  for (auto& f : rig.rig.flows()) {
    f->in.set_large_from(c.put_from);
    if (hold) f->out.hold_for_puts(c.put_from);
  }
  const auto eager = static_cast<uint32_t>(5 + r.below(95));
  const uint64_t kills = r.chance(50) ? 1 + r.below(20'000) : 0;  // of a million turns
  uint64_t port_up_at = 0;
  size_t down = 0;
  rig.application = [&] {
    for (auto& f : rig.rig.flows()) {
      if (r.chance(50)) f->publish(1 + r.below(20));
      if (r.chance(eager)) f->read(1 + r.below(8));
    }
    const size_t rail = r.below(rig.rails());
    if (r.below(1'000'000) < kills && rig.path(0, rail).state() != RdmaPath::State::kOff)
      rig.endpoint(r.below(2), rail).stop();
    if (r.below(1'000'000) < kills / 10 && port_up_at == 0) {
      down = rail;
      rig.fabric(0, down).set_port(false);
      port_up_at = rig.rig.now() + r.below(5'000'000);
    }
    if (port_up_at != 0 && rig.rig.now() >= port_up_at) {
      rig.fabric(0, down).set_port(true);
      port_up_at = 0;
    }
  };
  o.done = rig.rig.run_until([&] { return all_done(rig); }, 300 * kSecond);
  rig.rig.run_for(10'000'000);
  o.joins = rig.joins();
  o.trace = rig.trace() ^ rig.rig.net().trace();
  for (size_t i = 0; i < 2; i++) {
    o.striped += rig.stats(i).striped.read();
    for (size_t k = 0; k < rig.rails(); k++) {
      o.misuse += rig.fabric(i, k).used_after_deregistration();
      o.not_ready += rig.fabric(i, k).stats().receiver_not_ready.read();
      o.puts += rig.path(i, k).stats().puts.read();
      o.again += rig.path(i, k).stats().again.read();
      o.errors += rig.path(i, k).stats().errors.read();
    }
  }
  o.joins -= rig.rails() - 1;
  for (auto& f : rig.rig.flows()) {
    o.wrong += f->ledger.wrong();
    o.gaps += f->ledger.gaps();
    o.messages += f->ledger.count();
    o.accounts = o.accounts && f->out.idle() &&
                 f->out.stats().sent.read() == f->in.stats().delivered.read() &&
                 f->in.stats().delivered.read() == f->ledger.count();
    o.held_put += hold ? f->in.stats().put.read() : 0;
    if (hold && 2 * f->config().max_len <= f->config().mirror.arena_size())
      o.held_copied += f->in.stats().copied.read();
    o.text += f->ledger.text() + "; ";
  }
  for (size_t i = 0; i < 2; i++)
    o.text += rig.rig.text(i);
  o.text += "puts " + std::to_string(o.puts) + " errors " + std::to_string(o.errors) + " joins " +
            std::to_string(o.joins);
  return o;
}

Outcome sum;

class RdmaFaults : public ::testing::TestWithParam<uint64_t> {
 protected:
  static void SetUpTestSuite() { sum = {}; }
  static void TearDownTestSuite() {
    std::cout << "lanes over RDMA under faults: " << sum.messages << " messages, " << sum.puts
              << " by puts, striped " << sum.striped << ", connections that failed " << sum.errors
              << ", messages sent on by frames " << sum.again << ", joined anew " << sum.joins
              << "\nof lanes that wait: " << sum.held_put << " by puts\n";
    // Each of these must have happened, or the seeds show nothing.
    EXPECT_GT(sum.puts, 1000u);
    EXPECT_GT(sum.striped, 500u);
    EXPECT_GT(sum.errors, 100u);
    EXPECT_GT(sum.again, 100u);
    EXPECT_GT(sum.held_put, 300u);
    EXPECT_GT(sum.joins, 50u);
  }
};

TEST_P(RdmaFaults, LoseNothing) {
  const uint64_t seed = GetParam();
  const Outcome o = run(seed);
  const std::string replay =
      test::replay("dataplane/rdma/tests_rdma_path", "RdmaFaults.LoseNothing", seed) + o.text;
  sum.messages += o.messages;
  sum.puts += o.puts;
  sum.striped += o.striped;
  sum.errors += o.errors;
  sum.joins += o.joins - 1;
  sum.again += o.again;
  sum.held_put += o.held_put;
  EXPECT_TRUE(o.done) << replay;
  EXPECT_EQ(o.wrong, 0u) << replay;
  EXPECT_EQ(o.gaps, 0u) << replay;
  EXPECT_EQ(o.misuse, 0u) << replay;
  EXPECT_EQ(o.not_ready, 0u) << replay;
  EXPECT_EQ(o.held_copied, 0u) << replay;
  EXPECT_TRUE(o.accounts) << replay;
}

INSTANTIATE_TEST_SUITE_P(Seeds, RdmaFaults, ::testing::Range<uint64_t>(0, test::seeds(300)));

TEST(RdmaPath, SameSeedSameRun) {
  for (uint64_t seed = 0; seed < 10; seed++)
    EXPECT_EQ(run(seed).trace, run(seed).trace) << "seed " << seed;
}

}  // namespace
}  // namespace penstock
