// Lanes of a chain whose messages may go another way: what the way does not take is sent without
// asking the chain.
#include <gtest/gtest.h>

#include "dataplane/link/chain.h"
#include "dataplane/link/peers.h"
#include "dataplane/link/put_path.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::LaneFeed;
using test::ScriptedPeer;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 14, .topics = 2};

struct TakesNothing final : PutPath {
  Take put(OutLane& /*lane*/, const FragmentHeader& /*m*/, const std::byte* /*bytes*/,
           uint64_t /*len*/) override {
    return Take::kNo;
  }
};

struct Takes final : PutPath {
  Take put(OutLane& /*lane*/, const FragmentHeader& m, const std::byte* /*bytes*/,
           uint64_t /*len*/) override {
    last = m;
    return works ? Take::kTaken : Take::kLater;
  }
  bool works = true;
  FragmentHeader last;
};

// One lane to a peer.
struct Way {
  Way(TestLane& lane, Chain& chain, uint64_t node, uint32_t index,
      const LaneGeometry& mirror = kLane)
      : peer(config(node, index)), feed(lane), out(5, 1, mirror, feed), seat(chain, out) {
    peer.connect();
    out.set_seat(&seat);
    EXPECT_EQ(peer.link.add_out(&out), Errc::kOk);
  }
  ~Way() { (void)peer.link.remove_out(5); }
  static LinkConfig config(uint64_t node, uint32_t index) {
    LinkConfig c = ScriptedPeer::config();
    c.peer_id = node;
    c.index = index;
    return c;
  }
  size_t pieces(size_t room = 32) {
    peer.link.wake(&out);
    return peer.take(FrameType::kFragment, room).size();
  }

  ScriptedPeer peer;
  LaneFeed feed;
  OutLane out;
  ChainSeat seat;
};

// It waited for another to begin the message, and then began it itself: woken for that each time
// that it had no more to send, its link never came to an end.
TEST(ChainPuts, WhoCannotPutWaitsForNobody) {
  Chain chain(2000);
  TestLane lane(kLane);
  TakesNothing nothing;
  Way a(lane, chain, 2, 9);
  Way b(lane, chain, 3, 10);
  const auto send = [&] {
    ASSERT_EQ(lane.writer().send({}, std::vector<std::byte>(4096)), Errc::kOk);
  };
  send();
  EXPECT_EQ(b.pieces(), 4u);
  EXPECT_EQ(a.pieces(), 0u) << "announced";
  send();
  b.peer.link.wake(&b.out);
  EXPECT_EQ(a.pieces(), 0u) << "waits for the other lane to send it";
  a.out.set_puts(&nothing, 1);
  EXPECT_EQ(a.pieces(), 0u) << "as it does with a put path";
  a.peer.now += 5'000'000;
  EXPECT_EQ(a.pieces(), 4u) << "not for ever";
}

// One lane sends it by frames, another by RDMA, and the rest when that fails: the digest of the
// first is over more than the peer of the second gets by frames.
TEST(ChainPuts, WhatWasPutInPartHasNoDigest) {
  constexpr LaneGeometry kLarge{.ring_log2 = 4, .arena_log2 = 20, .topics = 2};
  constexpr uint64_t kLen = 128 << 10;
  Chain chain(2000);
  TestLane lane(kLarge);
  Takes path;
  Way a(lane, chain, 2, 9, kLarge);
  Way b(lane, chain, 3, 10, kLarge);
  b.out.set_puts(&path, 1000);
  ASSERT_EQ(lane.writer().send({}, std::vector<std::byte>(kLen)), Errc::kOk);
  EXPECT_GT(a.pieces(200), 50u);
  (void)b.pieces(200);
  ASSERT_EQ(path.last.message_len, kLen);
  path.works = false;
  b.peer.link.put_landed(b.out, 0, 0, kLen / 2);
  b.peer.link.put_ended(b.out, 0, 0, kLen);
  const auto rest = b.peer.take(FrameType::kFragment, 200);
  ASSERT_GT(rest.size(), 25u);
  for (const auto& f : rest)
    EXPECT_FALSE(parse_fragment(f.span())->header.digest);
}

}  // namespace
}  // namespace penstock
