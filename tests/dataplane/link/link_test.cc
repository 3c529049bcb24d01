// What a link makes of a frame before it looks at what it says.
#include "dataplane/link/link.h"

#include <gtest/gtest.h>

#include "tests/support/link_rig.h"
#include "tests/support/scripted_peer.h"

namespace penstock {
namespace {

using test::Bytes;
using test::Flow;
using test::LinkRig;
using test::ScriptedPeer;

HopHeader ping(const ScriptedPeer& p) {
  return {.type = FrameType::kPing,
          .incarnation = static_cast<uint16_t>(p.epoch),
          .connection = p.link.connection(),
          .packet = p.packet + 1};
}

// A sealed PING.
Bytes sealed(const HopHeader& hop) {
  Bytes frame(kHopHeaderSize + kPingSize);
  write_hop(hop, frame);
  seal(frame, {});
  return frame;
}

TEST(LinkFrames, OneBitMakesItWrong) {
  ScriptedPeer p;
  p.connect();
  const Bytes good = sealed(ping(p));
  for (size_t bit = 0; bit < good.size() * 8; bit++) {
    Bytes bad = good;
    bad[bit / 8] ^= std::byte{static_cast<uint8_t>(1u << (bit % 8))};
    EXPECT_NE(p.give_raw(bad), Drop::kNone) << "bit " << bit;
  }
  EXPECT_GT(p.drops(Drop::kBadChecksum), 100u);
  EXPECT_GT(p.drops(Drop::kBadVersion), 0u);
  EXPECT_EQ(p.give_raw(good), Drop::kNone);
}

TEST(LinkFrames, ACutFrameIsDropped) {
  ScriptedPeer p;
  p.connect();
  const Bytes good = sealed(ping(p));
  for (size_t len = 0; len < good.size(); len++)
    EXPECT_NE(p.give_raw({good.data(), len}), Drop::kNone) << len;
  EXPECT_EQ(p.give_raw({}), Drop::kBadFrame);
}

TEST(LinkFrames, ANumberCountsOnce) {
  ScriptedPeer p;
  p.connect();
  const Bytes good = sealed(ping(p));
  EXPECT_EQ(p.give_raw(good), Drop::kNone);
  EXPECT_EQ(p.give_raw(good), Drop::kDuplicate);
  EXPECT_EQ(p.link.stats().duplicates.read(), 1u);
}

TEST(LinkFrames, ANumberBelowTheWindowIsOld) {
  ScriptedPeer p;
  p.connect();
  HopHeader late = ping(p);
  p.packet += 1000;
  EXPECT_EQ(p.give_ping(), Drop::kNone);
  EXPECT_EQ(p.give_raw(sealed(late)), Drop::kDuplicate);
  late.packet = p.packet - 256;
  EXPECT_EQ(p.give_raw(sealed(late)), Drop::kNone);
}

TEST(LinkFrames, AnotherIncarnationIsStale) {
  ScriptedPeer p;
  p.connect();
  HopHeader hop = ping(p);
  hop.incarnation++;
  EXPECT_EQ(p.give_raw(sealed(hop)), Drop::kStaleEpoch);
}

TEST(LinkFrames, AnotherConnectionIsAStranger) {
  ScriptedPeer p;
  p.connect();
  HopHeader hop = ping(p);
  hop.connection ^= 1u << 12;
  EXPECT_EQ(p.give_raw(sealed(hop)), Drop::kUnknownPeer);
  hop.connection = 0;
  EXPECT_EQ(p.give_raw(sealed(hop)), Drop::kUnknownPeer);
}

// Nobody could answer: 0 stands for no connection.
TEST(LinkFrames, NoLinkIsCalledZero) {
  LinkConfig c;
  c.self_id = 1;
  c.peer_id = 2;
  c.max_frame = 1400;
  c.max_lanes = 1;
  for (c.seed = 0; c.seed < 40'000; c.seed++) {  // a session has 12 bits of the name
    Link link(c);
    link.start(1);
    ASSERT_NE(link.connection(), 0u) << "seed " << c.seed;
  }
}

TEST(LinkFrames, OnlyAFragmentMayComeInTwoPieces) {
  ScriptedPeer p;
  p.connect();
  HopHeader hop = ping(p);
  const Bytes payload(8);
  EXPECT_EQ(p.give(hop, {}, payload), Drop::kBadFrame);
}

TEST(LinkFrames, BodiesOfAWrongSizeAreDropped) {
  ScriptedPeer p;
  p.connect();
  const Bytes odd(5);
  for (const FrameType t :
       {FrameType::kBatch, FrameType::kFragment, FrameType::kAck, FrameType::kPing,
        FrameType::kPong, FrameType::kClose, FrameType::kHello, FrameType::kHelloAck})
    EXPECT_EQ(p.give(t, odd), Drop::kBadFrame) << static_cast<int>(t);
  EXPECT_TRUE(p.link.up());
}

TEST(LinkFrames, APongThatNobodyAskedForIsDropped) {
  ScriptedPeer p;
  p.connect();
  const Bytes token(kPingSize, std::byte{9});
  EXPECT_EQ(p.give(FrameType::kPong, token), Drop::kDuplicate);
}

TEST(Link, CarriesMessagesInOrder) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  Flow& f = rig.add_flow(0, {});
  rig.application = [&] { return f.publish(8) + f.read(8) != 0; };
  EXPECT_TRUE(rig.run_until([&] { return f.done(); }, 1'000'000'000)) << f.ledger.text();
  EXPECT_EQ(f.ledger.wrong(), 0u) << f.ledger.text();
  EXPECT_EQ(f.ledger.delivered(), 200u);
  EXPECT_EQ(rig.link(0).stats().retransmitted.read(), 0u);
}

TEST(Link, CarriesManyLanesBothWays) {
  LinkRig rig({});
  ASSERT_TRUE(rig.connect());
  for (uint32_t i = 0; i < 40; i++)
    rig.add_flow(i % 2, {.alias = i / 2, .max_len = 3000, .total = 100, .seed = i});
  rig.application = [&] {
    uint64_t n = 0;
    for (auto& f : rig.flows())
      n += f->publish(4) + f->read(4);
    return n != 0;
  };
  EXPECT_TRUE(rig.run_until(
      [&] { return std::ranges::all_of(rig.flows(), [](const auto& f) { return f->done(); }); },
      10'000'000'000));
  for (auto& f : rig.flows())
    EXPECT_EQ(f->ledger.wrong(), 0u) << f->ledger.text();
}

}  // namespace
}  // namespace penstock
