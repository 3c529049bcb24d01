// What a chain does with the digest of a message: the relay passes it on, the receiver checks it.
#include <gtest/gtest.h>

#include "dataplane/link/chain.h"
#include "dataplane/link/peers.h"
#include "dataplane/wire/relay.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::Bytes;
using test::LaneFeed;
using test::ScriptedPeer;
using test::TakenFrame;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 18, .topics = 2};  // 256 KiB
constexpr uint32_t kLen = 70'000;
constexpr uint32_t kPiece = 1344;
constexpr uint64_t kMs = 1'000'000;

LinkConfig to_node(uint64_t node, uint32_t index) {
  LinkConfig c = ScriptedPeer::config();
  c.peer_id = node;
  c.index = index;
  return c;
}

Bytes message() {
  Bytes b(kLen);
  for (size_t i = 0; i < b.size(); i++)
    b[i] = static_cast<std::byte>(i * 7 + i / 256);
  return b;
}

// A node with links to nodes 2 and 3.
struct Node {
  Node() : two(to_node(2, 9)), three(to_node(3, 10)) {
    two.connect();
    three.connect();
    peers.add(&two.link);
    peers.add(&three.link);
  }
  ~Node() {
    peers.remove(&two.link);
    peers.remove(&three.link);
  }
  void pass_time(uint64_t ns) { two.now = three.now = two.now + ns; }

  ScriptedPeer two, three;
  Peers peers;
};

// One that has a mirror, of a lane of node 2.
struct MirrorNode : Node {
  MirrorNode() : mirror(kLane), reader(mirror.read()), in(5, 1, mirror.writer(), 42) {
    EXPECT_EQ(two.link.add_in(&in), Errc::kOk);
  }
  TestLane mirror;
  LaneReader reader;
  InLane in;
};

// The relay has node 3 as its receiver, the receiver has node 3 as its relay: what goes between
// them is handed over here.
class RelayedDigest : public ::testing::Test {
 protected:
  static FragmentHeader piece(uint64_t offset, uint32_t len) {
    return {.alias = 5, .epoch = 1, .message_len = kLen, .offset = offset, .piece_len = len};
  }
  void announce() {
    Bytes b(kFragmentHeaderSize);
    write_fragment(piece(0, 64), b);
    b.insert(b.end(), bytes.begin(), bytes.begin() + 64);
    b.resize(b.size() + kAnnounceTailSize);
    write_announce_tail(3, false, &b[b.size() - kAnnounceTailSize]);
    EXPECT_EQ(receiver.two.give(FrameType::kAnnounce, b), Drop::kNone);
  }
  void give_relay(std::optional<uint32_t> digest) {
    for (uint32_t at = 0; at < kLen; at += kPiece) {
      FragmentHeader h = piece(at, std::min(kPiece, kLen - at));
      if (at + h.piece_len == kLen) h.digest = digest;
      EXPECT_EQ(relay.two.give_piece(h, std::span(bytes).subspan(at, h.piece_len)), Drop::kNone);
    }
    Bytes b(kPassSize);
    write_pass({5, 1, 0, 0, kLen, 3, receiver.two.link.connection(), 5, 1, 0}, b);
    EXPECT_EQ(relay.two.give(FrameType::kPass, b), Drop::kNone);
  }
  // Says what the piece that reached the end said.
  std::optional<uint32_t> hand_over() {
    std::optional<uint32_t> said;
    for (auto out = relay.three.take(FrameType::kRelayed); !out.empty();
         out = relay.three.take(FrameType::kRelayed)) {
      for (const TakenFrame& f : out) {
        const auto r = parse_relayed(f.span());
        EXPECT_TRUE(!r->header.digest || r->header.offset + r->header.piece_len == kLen);
        if (r->header.digest) said = r->header.digest;
        EXPECT_EQ(receiver.three.give(FrameType::kRelayed, f.span()), Drop::kNone);
      }
    }
    return said;
  }
  LaneReader::Next delivered() {
    Message m;
    const auto next = receiver.reader.next(m);
    if (next == LaneReader::Next::kMessage) got.assign(m.data, m.data + m.len);
    return next;
  }

  const Bytes bytes = message();
  MirrorNode relay, receiver;
  Bytes got;
};

TEST_F(RelayedDigest, IsPassedOnAndTheMessageDelivered) {
  announce();
  give_relay(crc_part(bytes));
  EXPECT_EQ(hand_over(), crc_part(bytes));
  EXPECT_EQ(delivered(), LaneReader::Next::kMessage);
  EXPECT_EQ(got, bytes);
}

TEST_F(RelayedDigest, CatchesAByteThatWentBadInTheRelaysMemory) {
  announce();
  give_relay(crc_part(bytes));
  relay.mirror.writer().at(0, kLen)[40'000] ^= std::byte{1};
  EXPECT_EQ(hand_over(), crc_part(bytes));
  EXPECT_EQ(delivered(), LaneReader::Next::kGap);
  EXPECT_EQ(receiver.in.stats().malformed.read(), 1u);
}

TEST_F(RelayedDigest, IsNotMadeUpByARelayThatWasToldNone) {
  announce();
  give_relay({});
  EXPECT_EQ(hand_over(), std::nullopt);
  EXPECT_EQ(delivered(), LaneReader::Next::kMessage);
}

TEST_F(RelayedDigest, OfAMessageThatIsNotWhatItSaysIsNotPassedOn) {
  announce();
  give_relay(~crc_part(bytes));
  EXPECT_EQ(hand_over(), std::nullopt);
  EXPECT_EQ(delivered(), LaneReader::Next::kEmpty);
}

TEST_F(RelayedDigest, IsTakenFromTheEndOnly) {
  announce();
  RelayedHeader h{receiver.two.link.connection(), 5, 1, 64, 0, 64, 7};
  Bytes b(kRelayedHeaderSize + 64);
  write_relayed(h, b);
  EXPECT_EQ(receiver.three.give(FrameType::kRelayed, b), Drop::kBadFrame);
  h.digest.reset();
  write_relayed(h, b);
  for (size_t at = 32; at < kRelayedHeaderSize; at++) {
    Bytes other = b;
    other[at] = std::byte{2};  // an unknown flag, or a digest that is not said to be there
    EXPECT_EQ(receiver.three.give(FrameType::kRelayed, other), Drop::kBadFrame) << at;
  }
  EXPECT_EQ(receiver.three.give(FrameType::kRelayed, b), Drop::kNone);
}

// --- the source: lanes to nodes 2 and 3 ---
class SourceDigest : public ::testing::Test {
 protected:
  struct Out {
    Out(TestLane& lane, uint32_t alias, Chain& chain)
        : feed(lane), out(alias, 1, kLane, feed), seat(chain, out) {
      out.set_seat(&seat);
    }
    LaneFeed feed;
    OutLane out;
    ChainSeat seat;
  };
  SourceDigest() : chain(2000), lane(kLane), a(lane, 5, chain), b(lane, 8, chain) {
    EXPECT_EQ(node.two.link.add_out(&a.out), Errc::kOk);
    EXPECT_EQ(node.three.link.add_out(&b.out), Errc::kOk);
    EXPECT_EQ(lane.writer().send({}, bytes), Errc::kOk);
    node.two.link.wake(&a.out);
    node.three.link.wake(&b.out);
    EXPECT_EQ(end_piece(node.two), crc_part(bytes));
    EXPECT_EQ(node.three.take(FrameType::kAnnounce).size(), 1u);
  }
  ~SourceDigest() override {
    (void)node.two.link.remove_out(5);
    (void)node.three.link.remove_out(8);
  }
  // The digest in the end of what goes to this peer. 0: no end came; 1: one without a digest.
  static uint32_t end_piece(ScriptedPeer& to) {
    uint32_t digest = 0;
    for (const TakenFrame& f : to.take(FrameType::kFragment, 256)) {
      const FragmentHeader h = parse_fragment(f.span())->header;
      if (h.offset + h.piece_len == kLen) digest = h.digest.value_or(1);
    }
    return digest;
  }

  const Bytes bytes = message();
  Node node;
  Chain chain;
  TestLane lane;
  Out a, b;
};

TEST_F(SourceDigest, OfTheRestIsKnownFromTheLaneThatSentAll) {
  node.two.give_ack(1, node.two.link.stats().tx_frames.read());
  uint32_t digest = 0;
  for (int i = 0; i < 30 && digest == 0; i++, node.pass_time(kMs)) {
    node.three.give_ack(1, node.three.link.stats().tx_frames.read());
    digest = end_piece(node.three);
  }
  EXPECT_EQ(digest, crc_part(bytes));
  EXPECT_EQ(b.seat.stats().fell_back.read(), 1u);
  EXPECT_TRUE(node.three.ok);
}

TEST_F(SourceDigest, OfTheRestIsNotSaidWhenThatLaneIsGone) {
  EXPECT_EQ(node.two.link.remove_out(5), Errc::kOk);
  EXPECT_EQ(end_piece(node.three), 1u);
  EXPECT_EQ(b.seat.stats().fell_back.read(), 1u);
}

}  // namespace
}  // namespace penstock
