// Counters of a link from just below where they wrap. Those that a script can show are in scripts/
// (wrap_*.txt): packet numbers, positions, the arena, marks.
#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <vector>

#include "dataplane/link/block_map.h"
#include "dataplane/link/inflow.h"
#include "tests/support/link_rig.h"
#include "tests/support/scripted_peer.h"

namespace penstock {
namespace {

using test::Flow;
using test::LinkRig;
using test::RigConfig;
using test::ScriptedPeer;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;
constexpr uint64_t kOne = 1;

// Ends the session from the peer's side and begins the next; its HELLO's nonce.
uint32_t next_session(ScriptedPeer& p) {
  p.give_close(LinkClose::kStopped);
  p.events();
  p.now += 300 * kMs;
  const auto hello = p.take(FrameType::kHello);
  Hello h = p.hello();
  h.nonce = parse_hello(hello.at(0).span())->nonce;
  h.connection = ++p.connection;
  p.give_hello_ack(h);
  p.take();
  p.events();
  return h.nonce;
}

// 12 bits of it are the session's; the rest says which link it is.
TEST(LinkWraps, ConnectionIds) {
  ScriptedPeer p;
  p.connect();
  std::vector<uint32_t> seen{p.link.connection()};
  for (int i = 0; i < 5000; i++) {
    next_session(p);
    ASSERT_TRUE(p.link.up()) << i;
    seen.push_back(p.link.connection());
    ASSERT_EQ(Link::index_of(seen.back()), ScriptedPeer::config().index);
    ASSERT_EQ(connection_worker(seen.back()), ScriptedPeer::config().worker);
  }
  const std::set<uint32_t> all(seen.begin(), seen.end());
  EXPECT_EQ(all.size(), 4096u);
  for (size_t i = 4096; i < seen.size(); i++)
    ASSERT_EQ(seen[i], seen[i - 4096]) << "none is used again before all others were";
}

// Made of the clock; 52 days, and then from the beginning.
TEST(LinkWraps, NoncesOfHelloGrowAcrossTheWrap) {
  ScriptedPeer p;
  p.now = (((kOne << 32) - 1000) << 20);
  p.connect();
  uint32_t before = next_session(p);
  const uint32_t first = before;
  uint32_t smallest = before;
  for (int i = 0; i < 8; i++) {
    const uint32_t nonce = next_session(p);
    EXPECT_GT(static_cast<int32_t>(nonce - before), 0);
    EXPECT_NE(nonce, 0u);
    before = nonce;
    smallest = std::min(smallest, nonce);
  }
  EXPECT_LT(smallest, first) << "or nothing wrapped";
}

TEST(LinkWraps, ThePeersNoncesMayWrap) {
  ScriptedPeer p;
  p.nonce = 0xfffffffe;
  p.connect();
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  p.nonce = 0xfffffff0;
  p.connection++;
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kStaleEpoch);
  p.nonce = 3;
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  p.nonce = 0xfffffffe;
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kStaleEpoch) << "older than 3";
}

// A frame says the low 16 bits of its sender's epoch: 0xffff, then 0.
TEST(LinkWraps, Incarnations) {
  ScriptedPeer p;
  p.epoch = 0x1ffff;
  p.connect();
  EXPECT_EQ(p.give_ping(), Drop::kNone);
  p.epoch = 0x20000;
  p.connection++;
  p.nonce++;
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  p.take();
  EXPECT_EQ(p.give_ping(), Drop::kNone);
  EXPECT_TRUE(p.link.up());
  EXPECT_EQ(p.link.peer_epoch(), 0x20000u);
  p.epoch = 0x1ffff;
  EXPECT_EQ(p.give_ping(), Drop::kStaleEpoch);
}

// Delays are 32 bits of 16 ns: what does not fit stays at the most, 68.7 s.
TEST(LinkWraps, DelaysOfAnAckDoNotWrap) {
  constexpr uint64_t kMost = uint64_t{UINT32_MAX} << kTickShift;
  ReceivedPackets r;
  r.add(1, 0, true, false, kMost - 16);
  EXPECT_EQ(r.ack(kMost - 16).delay, UINT32_MAX - 1);
  EXPECT_EQ(r.ack(kMost - 16).waited, UINT32_MAX - 1);
  EXPECT_EQ(r.ack(kMost + 16).delay, UINT32_MAX);
  r.add(2, kSecond, true, false, kMost + 16);
  EXPECT_EQ(r.ack(1000 * kSecond).delay, UINT32_MAX);
  EXPECT_EQ(r.ack(1000 * kSecond).waited, UINT32_MAX);
}

// All ones stand for any number: a share that large is said as one less.
TEST(LinkWraps, AShareIsNeverAnyNumberByAccident) {
  Inflow inflow(kOne << 40);
  Inflow::Sender s;
  inflow.heard(s, kSecond);
  EXPECT_EQ(inflow.share(s, 2 * kSecond, kMs, 64), kAnyNumber - 1);
}

// Timestamps wrap after 68.7 s, and nothing depends on them: a session lives through it.
TEST(LinkWraps, Timestamps) {
  ScriptedPeer p;
  p.now = (kOne << 36) - 10 * kMs;
  p.connect();
  uint32_t last = 0;
  bool wrapped = false;
  for (int i = 0; i < 20; i++) {
    p.now += kMs;
    EXPECT_EQ(p.give_ping(), Drop::kNone);
    const auto pong = p.take(FrameType::kPong);
    ASSERT_EQ(pong.size(), 1u);
    wrapped |= pong[0].hop.timestamp < last;
    last = pong[0].hop.timestamp;
  }
  EXPECT_TRUE(wrapped);
}

TEST(LinkWraps, TheBlockMapKnowsAPlaceWhateverItsLap) {
  for (const uint64_t base : {kOne << 12, kOne << 32, kOne << 38, kOne << 63}) {
    BlockMap map(4096);
    for (uint64_t at = base - 4096; at != base + 4096; at += 256) {
      EXPECT_EQ(map.set(at, 200), 4u) << base;
      EXPECT_EQ(map.set(at + 64, 100), 0u) << base;
      EXPECT_TRUE(map.all(at, 256));
      map.clear(at, 256);
      EXPECT_EQ(map.count(at, 256), 0u);
    }
  }
}

// True links, across the places where 32 bits, and the sign of 64, would end.
TEST(LinkWraps, AFlowGoesThrough) {
  for (const uint64_t first : {(kOne << 32) - 150, (kOne << 57) - 150}) {
    for (const uint64_t packet : {(kOne << 32) - 100, (kOne << 63) - 100}) {
      RigConfig c;
      c.port.faults.lose = 50'000;
      c.port.faults.duplicate = 50'000;
      c.link.first_packet = packet;
      LinkRig rig(c);
      ASSERT_TRUE(rig.connect());
      Flow& f = rig.add_flow(0, {.total = 300, .first = first});
      rig.application = [&] { return f.publish(8) + f.read(8) != 0; };
      EXPECT_TRUE(rig.run_until([&] { return f.done(); }, 60 * kSecond))
          << first << " " << packet << f.ledger.text() << rig.text(0);
      EXPECT_EQ(f.ledger.wrong(), 0u);
    }
  }
}

}  // namespace
}  // namespace penstock
