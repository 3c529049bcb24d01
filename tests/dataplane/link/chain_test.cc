// A chain from each of its nodes: what a source says, a relay does, and a receiver believes.
#include "dataplane/link/chain.h"

#include <gtest/gtest.h>

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

constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 14, .topics = 2};  // 8 messages, 16 KiB
constexpr uint32_t kLen = 4096;
constexpr uint32_t kPiece = 1344;  // whole blocks, as many as fit into a frame
constexpr uint64_t kMs = 1'000'000;
LinkConfig to_node(uint64_t node, uint32_t index) {
  LinkConfig c = ScriptedPeer::config();
  c.peer_id = node;
  c.index = index;
  return c;
}

Bytes message(size_t len = kLen) {
  Bytes b(len);
  for (size_t i = 0; i < len; i++)
    b[i] = static_cast<std::byte>(i * 7 + i / 256);
  return b;
}

// This node with links to nodes 2 and 3.
class ChainTest : public ::testing::Test {
 protected:
  ChainTest() : two(to_node(2, 9)), three(to_node(3, 10)) {
    two.connect();
    three.connect();
    peers.add(&two.link);
    peers.add(&three.link);
  }
  ~ChainTest() override {
    peers.remove(&two.link);
    peers.remove(&three.link);
  }
  Drop give_pass(const Pass& p) {
    Bytes b(kPassSize);
    write_pass(p, b);
    return two.give(FrameType::kPass, b);
  }
  void pass_time(uint64_t ns) { two.now = three.now = two.now + ns; }

  static FragmentHeader piece(uint32_t alias, uint64_t offset, uint32_t len,
                              uint64_t position = 0) {
    return {.alias = alias,
            .epoch = 1,
            .position = position,
            .arena_position = position * kLen,
            .message_len = kLen,
            .offset = offset,
            .source = position,
            .piece_len = len};
  }
  Drop give_piece(ScriptedPeer& from, uint64_t offset, uint32_t len, uint64_t position = 0) {
    return from.give_piece(piece(5, offset, len, position), std::span(bytes).subspan(offset, len));
  }

  ScriptedPeer two, three;
  Peers peers;
  const Bytes bytes = message();
};

// --- the receiver: node 2 is the source, node 3 the relay ---
class ReceiverTest : public ChainTest {
 protected:
  ReceiverTest() : mirror(kLane), reader(mirror.read()), in(5, 1, mirror.writer(), 42) {
    EXPECT_EQ(two.link.add_in(&in), Errc::kOk);
  }
  Drop announce(uint64_t relay) {
    Bytes b(kFragmentHeaderSize + 64 + kAnnounceTailSize);
    write_fragment(piece(5, 0, 64), b);
    std::memcpy(&b[kFragmentHeaderSize], bytes.data(), 64);
    store_le(&b[kFragmentHeaderSize + 64], relay);
    return two.give(FrameType::kAnnounce, b);
  }
  Drop relay(ScriptedPeer& by, RelayedHeader h) {
    Bytes b(kRelayedHeaderSize);
    write_relayed(h, b);
    const size_t at = std::min<size_t>(h.offset, kLen - 1);
    const size_t len = std::min<size_t>(h.piece_len, kLen - at);
    b.insert(b.end(), bytes.begin() + static_cast<ptrdiff_t>(at),
             bytes.begin() + static_cast<ptrdiff_t>(at + len));
    b.resize(kRelayedHeaderSize + h.piece_len);
    return by.give(FrameType::kRelayed, b);
  }
  RelayedHeader header(uint64_t offset, uint32_t len) const {
    return {two.link.connection(), 5, 1, len, 0, offset};
  }
  bool nothing_came() {
    Message m;
    return reader.next(m) == LaneReader::Next::kEmpty;
  }

  TestLane mirror;
  LaneReader reader;
  InLane in;
};

TEST_F(ReceiverTest, TakesWhatWasAnnouncedAndTellsTheSource) {
  EXPECT_EQ(announce(3), Drop::kNone);
  EXPECT_EQ(relay(three, header(64, 1984)), Drop::kNone);
  pass_time(kMs);
  auto landed = two.take(FrameType::kLanded);
  ASSERT_EQ(landed.size(), 1u);
  EXPECT_EQ(*parse_landed(landed[0].span()), (Landed{5, 1, 0, 2048}));
  EXPECT_EQ(relay(three, header(2048, 2048)), Drop::kNone);
  landed = two.take(FrameType::kLanded);  // at once: it is whole
  ASSERT_EQ(landed.size(), 1u);
  EXPECT_EQ(*parse_landed(landed[0].span()), (Landed{5, 1, 1, 0}));
  Message m;
  ASSERT_EQ(reader.next(m), LaneReader::Next::kMessage);
  EXPECT_EQ(Bytes(m.data, m.data + m.len), bytes);
  EXPECT_EQ(three.link.relay_stats().bytes_in.read(), 4032u);
}

TEST_F(ReceiverTest, TakesNothingThatWasNotAnnounced) {
  EXPECT_EQ(relay(three, header(64, 1984)), Drop::kNoLane);
  EXPECT_EQ(give_piece(two, 0, 64), Drop::kNone);  // the source sends it itself
  EXPECT_EQ(relay(three, header(64, 4032)), Drop::kNoLane);
  EXPECT_TRUE(nothing_came());
  EXPECT_EQ(three.link.relay_stats().unexpected.read(), 2u);
}

TEST_F(ReceiverTest, TakesNothingFromAnotherNodeThanWasAnnounced) {
  EXPECT_EQ(announce(4), Drop::kNone);
  EXPECT_EQ(relay(three, header(64, 4032)), Drop::kNoLane);
  EXPECT_EQ(announce(0), Drop::kDuplicate);  // nobody
  EXPECT_EQ(relay(three, header(64, 4032)), Drop::kNoLane);
  EXPECT_TRUE(nothing_came());
}

TEST_F(ReceiverTest, TakesNothingOutsideOfTheMessage) {
  EXPECT_EQ(announce(3), Drop::kNone);
  const std::pair<uint64_t, uint32_t> bad[] = {
      {4096, 64}, {4032, 128}, {uint64_t{0} - 64, 128}, {64, 100}};  // the last: no whole blocks
  for (const auto& [offset, len] : bad)
    EXPECT_EQ(relay(three, header(offset, len)), Drop::kBadFrame);
  RelayedHeader h = header(64, 64);
  h.position = 1;
  EXPECT_EQ(relay(three, h), Drop::kNoLane);
  h.position = 8;  // beyond the ring
  EXPECT_EQ(relay(three, h), Drop::kNoCredit);
  EXPECT_TRUE(nothing_came());
}

TEST_F(ReceiverTest, ForgetsWhatIsForAnotherSessionOrLane) {
  EXPECT_EQ(announce(3), Drop::kNone);
  RelayedHeader session = header(64, 4032), epoch = session, alias = session;
  session.connection ^= 0x1000;
  epoch.epoch = 0;
  alias.alias = 6;
  for (const RelayedHeader& h : {session, epoch, alias})
    EXPECT_EQ(relay(three, h), Drop::kNone);
  EXPECT_TRUE(nothing_came());
  EXPECT_EQ(three.link.stats().drops.read(Drop::kNoLane), 3u);
  EXPECT_EQ(three.link.relay_stats().unexpected.read(), 3u);
}

// --- the relay: node 2 is the source, node 3 the receiver ---
class RelayTest : public ChainTest {
 protected:
  RelayTest() : mirror(kLane), reader(mirror.read()), in(5, 1, mirror.writer(), 42) {
    EXPECT_EQ(two.link.add_in(&in), Errc::kOk);
    in_passed = {5, 1, 0, 0, kLen, 3, 0x777, 8, 2, 40};
  }
  void give_all() {
    for (uint32_t at = 0; at < kLen; at += kPiece)
      EXPECT_EQ(give_piece(two, at, std::min(kPiece, kLen - at)), Drop::kNone);
  }
  // What goes to node 3.
  std::vector<Relayed> passed_on() {
    frames = three.take(FrameType::kRelayed);
    std::vector<Relayed> out;
    for (const TakenFrame& f : frames)
      out.push_back(*parse_relayed(f.span()));
    return out;
  }

  TestLane mirror;
  LaneReader reader;
  InLane in;
  Pass in_passed;
  std::vector<TakenFrame> frames;
};

TEST_F(RelayTest, PassesOnWhatLands) {
  EXPECT_EQ(give_piece(two, 0, kPiece), Drop::kNone);
  EXPECT_EQ(give_pass(in_passed), Drop::kNone);
  auto out = passed_on();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].header, (RelayedHeader{0x777, 8, 2, kPiece, 40, 0}));
  EXPECT_EQ(give_piece(two, 2 * kPiece, kPiece), Drop::kNone);  // one is missing before it
  EXPECT_TRUE(passed_on().empty());
  EXPECT_EQ(give_piece(two, kPiece, kPiece), Drop::kNone);
  EXPECT_EQ(passed_on().size(), 2u);
  EXPECT_EQ(give_piece(two, 3 * kPiece, kLen - 3 * kPiece), Drop::kNone);
  out = passed_on();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].header.offset, 3u * kPiece);
  EXPECT_EQ(Bytes(out[0].piece.begin(), out[0].piece.end()),
            Bytes(bytes.begin() + 3 * kPiece, bytes.end()));
  EXPECT_EQ(three.link.relay_stats().bytes_out.read(), kLen);
}

TEST_F(RelayTest, SendsAgainWhatWasLostOnItsHop) {
  give_all();
  EXPECT_EQ(give_pass(in_passed), Drop::kNone);
  ASSERT_EQ(passed_on().size(), 4u);
  pass_time(1000 * kMs);
  const auto again = passed_on();
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again[0].header.offset, 0u);
  for (int i = 0; i < 150; i++, pass_time(1000 * kMs), three.give_ping())
    (void)passed_on();
  EXPECT_TRUE(passed_on().empty());
  EXPECT_EQ(three.link.relay_stats().gone.read(), 1u);
}

TEST_F(RelayTest, EndsWhenItsMirrorIsOverwritten) {
  give_all();
  Message m;
  ASSERT_EQ(reader.next(m), LaneReader::Next::kMessage);
  reader.release();
  pass_time(100 * kMs);
  (void)two.take();  // grants what the reader let go of
  for (uint64_t p = 1; p < 4; p++)
    EXPECT_EQ(give_piece(two, 0, 64, p), Drop::kNone);
  EXPECT_EQ(give_pass(in_passed), Drop::kNone);
  EXPECT_EQ(give_piece(two, 0, 64, 4), Drop::kNone);  // in its place
  EXPECT_TRUE(passed_on().empty());
  EXPECT_EQ(three.link.relay_stats().gone.read(), 1u);
  EXPECT_EQ(give_pass(in_passed), Drop::kNone);
  EXPECT_EQ(two.link.relay_stats().refused.read(), 1u);
}

TEST_F(RelayTest, NeverPassesOnAMessageThatBecameAGap) {
  EXPECT_EQ(give_piece(two, 0, kPiece), Drop::kNone);
  EXPECT_EQ(give_pass(in_passed), Drop::kNone);
  EXPECT_EQ(passed_on().size(), 1u);
  Bytes b(256);
  BatchWriter w({.alias = 5, .epoch = 1, .position = 0, .arena_position = 0, .source = 0}, b);
  w.append({.parts = static_cast<uint8_t>(Drop::kMalformed), .gap = true, .time = kLen, .key = 1});
  b.resize(w.size());
  EXPECT_EQ(two.give(FrameType::kBatch, b), Drop::kNone);
  EXPECT_EQ(give_piece(two, 0, 64, 1), Drop::kNone);
  EXPECT_TRUE(passed_on().empty());
  EXPECT_EQ(three.link.relay_stats().gone.read(), 1u);
}

TEST_F(RelayTest, RefusesWhatItCannotDo) {
  EXPECT_EQ(give_piece(two, 0, kPiece), Drop::kNone);
  Pass nobody = in_passed, back = in_passed, huge = in_passed, elsewhere = in_passed;
  nobody.to = 4;
  back.to = 2;
  huge.message_len = uint64_t{1} << 40;
  elsewhere.arena_position = 64;
  for (const Pass& p : {nobody, back, huge, elsewhere})
    EXPECT_EQ(give_pass(p), Drop::kNone);
  EXPECT_EQ(two.link.relay_stats().refused.read(), 4u);
  Pass p = in_passed;
  p.alias = 6;
  EXPECT_EQ(give_pass(p), Drop::kNoLane);
  EXPECT_TRUE(passed_on().empty());
}

TEST_F(RelayTest, EndsWithItsMirror) {
  EXPECT_EQ(give_piece(two, 0, kPiece), Drop::kNone);
  EXPECT_EQ(give_pass(in_passed), Drop::kNone);
  EXPECT_EQ(two.link.remove_in(5), Errc::kOk);
  EXPECT_TRUE(passed_on().empty());
}

TEST_F(RelayTest, EndsWithTheSessionOfTheSource) {
  EXPECT_EQ(give_piece(two, 0, kPiece), Drop::kNone);
  EXPECT_EQ(give_pass(in_passed), Drop::kNone);
  two.link.close(LinkClose::kStopped, two.now);
  EXPECT_TRUE(passed_on().empty());
}

// --- the source: lanes to nodes 2 and 3 ---
class SourceTest : public ChainTest {
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
  SourceTest() : chain(2000), lane(kLane), a(lane, 5, chain), b(lane, 8, chain) {
    EXPECT_EQ(two.link.add_out(&a.out), Errc::kOk);
    EXPECT_EQ(three.link.add_out(&b.out), Errc::kOk);
  }
  ~SourceTest() override {
    (void)two.link.remove_out(5);
    (void)three.link.remove_out(8);
  }
  void send(size_t len = kLen) {
    EXPECT_EQ(lane.writer().send({}, std::span(bytes).first(len)), Errc::kOk);
    two.link.wake(&a.out);
    three.link.wake(&b.out);
  }
  static size_t count(const std::vector<TakenFrame>& frames, FrameType type) {
    return static_cast<size_t>(
        std::ranges::count_if(frames, [&](const auto& f) { return f.hop.type == type; }));
  }
  Drop landed(const Landed& l) {
    Bytes body(kLandedSize);
    write_landed(l, body);
    return three.give(FrameType::kLanded, body);
  }

  Chain chain;
  TestLane lane;
  Out a, b;
};

TEST_F(SourceTest, SendsToOneAndAnnouncesToTheOther) {
  send();
  EXPECT_EQ(count(two.take(), FrameType::kFragment), 4u);
  const auto to_three = three.take();
  ASSERT_EQ(to_three.size(), 1u);
  const auto announce = parse_announce(to_three[0].span());
  ASSERT_TRUE(announce);
  EXPECT_EQ(announce->relay, 2u);
  EXPECT_EQ(announce->fragment.header.message_len, kLen);
  EXPECT_EQ(announce->fragment.piece.size(), 64u);
  const auto passes = two.take(FrameType::kPass);
  ASSERT_EQ(passes.size(), 1u);
  EXPECT_EQ(*parse_pass(passes[0].span()),
            (Pass{5, 1, 0, 0, kLen, 3, ScriptedPeer::kConnection, 8, 1, 0}));
  EXPECT_FALSE(b.out.idle());
  EXPECT_EQ(landed({8, 1, 1, 0}), Drop::kNone);
  EXPECT_TRUE(b.out.idle());
}

TEST_F(SourceTest, SmallMessagesGoToEach) {
  send(1999);
  for (ScriptedPeer* to : {&two, &three})
    EXPECT_EQ(count(to->take(), FrameType::kFragment), 2u);
}

TEST_F(SourceTest, SendsTheRestWhenTheReceiverDoesNotGetOn) {
  send();
  (void)two.take();
  (void)three.take();
  EXPECT_EQ(two.give_ack(1, two.link.stats().tx_frames.read()), Drop::kNone);
  EXPECT_EQ(landed({8, 1, 0, 1024}), Drop::kNone);
  size_t pieces = 0;
  for (int i = 0; i < 9; i++, pass_time(kMs))
    pieces += count(three.take(), FrameType::kFragment);
  EXPECT_EQ(pieces, 0u);
  uint64_t first = kLen;
  for (int i = 0; i < 10; i++, pass_time(kMs))
    for (const auto& f : three.take(FrameType::kFragment))
      first = std::min(first, parse_fragment(f.span())->header.offset);
  EXPECT_EQ(first, 1024u);
  EXPECT_EQ(b.seat.stats().fell_back.read(), 1u);
}

TEST_F(SourceTest, SendsTheRestAtOnceWhenTheRelayIsGone) {
  send();
  (void)two.take();
  (void)three.take();
  EXPECT_EQ(two.link.remove_out(5), Errc::kOk);
  EXPECT_EQ(count(three.take(), FrameType::kFragment), 4u);
}

TEST_F(SourceTest, BelievesNoImpossibleReport) {
  send();
  (void)two.take();
  (void)three.take();
  for (const Landed& l :
       {Landed{8, 1, 2, 0}, {8, 1, uint64_t{0} - 1, 0}, {8, 2, 1, 0}, {9, 1, 1, 0}})
    EXPECT_EQ(landed(l), Drop::kNone);
  EXPECT_FALSE(b.out.idle());
  EXPECT_EQ(landed({8, 1, 0, uint64_t{1} << 62}), Drop::kNone);  // more than all of it is all of it
  EXPECT_TRUE(b.out.idle());
  EXPECT_TRUE(two.take().empty()) << "nobody has to be asked to pass on what has come meanwhile";
}

}  // namespace
}  // namespace penstock
