// A large message in pieces is what its sender sent first, or it is a gap.
#include "dataplane/link/digest.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>

#include "tests/support/link_rig.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/seeds.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::Bytes;
using test::Flow;
using test::LaneFeed;
using test::LinkRig;
using test::RigConfig;
using test::ScriptedPeer;
using test::TakenFrame;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 18, .topics = 2};  // 256 KiB
constexpr uint64_t kSecond = 1'000'000'000;

Bytes random_bytes(std::mt19937_64& rng, size_t n) {
  Bytes out(n);
  for (std::byte& b : out)
    b = static_cast<std::byte>(rng());
  return out;
}

struct Range {
  uint64_t offset;
  uint64_t len;
};

// Pieces of up to 20 blocks that cover the message, in order.
std::vector<Range> cut(std::mt19937_64& rng, uint64_t len) {
  std::vector<Range> out;
  for (uint64_t at = 0; at < len; at += out.back().len)
    out.push_back({at, std::min(len - at, (1 + rng() % 20) * kFragmentAlign)});
  return out;
}

TEST(Digest, IsTheSameFromPiecesInAnyOrder) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    std::mt19937_64 rng(seed);
    const Bytes bytes = random_bytes(rng, 1 + rng() % 20'000);
    auto pieces = cut(rng, bytes.size());
    // A few change places, or all do.
    if (seed % 2 == 0) std::ranges::shuffle(pieces, rng);
    std::swap(pieces[rng() % pieces.size()], pieces[rng() % pieces.size()]);
    Digest d;
    for (const Range& p : pieces)
      d.add(p.offset, p.len, crc_part(std::span(bytes).subspan(p.offset, p.len)), bytes.size());
    ASSERT_EQ(d.whole(bytes.size()), crc_part(bytes)) << seed;
  }
}

// --- the receiver ---
class Receiver {
 public:
  Receiver() : mirror(kLane), reader(mirror.read()), in(5, 1, mirror.writer(), 42) {
    p.connect();
    EXPECT_EQ(p.link.add_in(&in), Errc::kOk);
  }
  Drop give(const Bytes& bytes, Range r, std::optional<uint32_t> digest) {
    FragmentHeader h{.alias = 5, .epoch = 1};
    h.message_len = bytes.size();
    h.offset = r.offset;
    h.piece_len = static_cast<uint32_t>(r.len);
    if (r.offset + r.len == bytes.size()) h.digest = digest;
    const auto piece = std::span(bytes).subspan(r.offset, r.len);
    if (in_one_segment) return p.give_piece(h, piece);
    Bytes body(kFragmentHeaderSize);
    write_fragment(h, body);
    return p.give({.type = FrameType::kFragment,
                   .incarnation = static_cast<uint16_t>(p.epoch),
                   .connection = p.link.connection(),
                   .packet = ++p.packet},
                  body, piece);
  }
  // What its reader gets, if anything.
  LaneReader::Next next(Message& m) { return reader.next(m); }

  bool in_one_segment = true;
  ScriptedPeer p;
  TestLane mirror;
  LaneReader reader;
  InLane in;
};

class DigestSeeds : public ::testing::TestWithParam<uint64_t> {};

TEST_P(DigestSeeds, LetsAMessageThroughOnlyIfItIsWhatItsSenderSaid) {
  std::mt19937_64 rng(GetParam());
  Receiver r;
  r.in_one_segment = rng() % 2 == 0;
  const Bytes bytes = random_bytes(rng, kDigestFrom + 1 + rng() % 60'000);
  // Cut anew, and in any order: most pieces come in part, or twice.
  auto pieces = cut(rng, bytes.size());
  std::ranges::copy(cut(rng, bytes.size()), std::back_inserter(pieces));
  if (rng() % 4 != 0) std::ranges::shuffle(pieces, rng);
  const uint64_t flip = rng() % (3 * bytes.size());  // mostly of no byte
  Bytes other = bytes;
  if (flip < bytes.size()) other[flip] ^= std::byte{1};
  for (const Range& p : pieces) {
    const Drop d = r.give(other, p, crc_part(bytes));
    ASSERT_TRUE(d == Drop::kNone || d == Drop::kDuplicate);
  }
  Message m;
  const auto got = r.next(m);
  if (flip < bytes.size()) {
    ASSERT_EQ(got, LaneReader::Next::kGap);
    EXPECT_EQ(m.parts, static_cast<uint16_t>(Drop::kMalformed));
    EXPECT_EQ(m.key, 1u);
  } else {
    ASSERT_EQ(got, LaneReader::Next::kMessage);
    EXPECT_EQ(Bytes(m.data, m.data + m.len), bytes);
  }
  EXPECT_EQ(r.in.stats().malformed.read(), flip < bytes.size() ? 1u : 0u);
  EXPECT_EQ(r.next(m), LaneReader::Next::kEmpty);
}

INSTANTIATE_TEST_SUITE_P(Seeds, DigestSeeds, ::testing::Range<uint64_t>(0, test::seeds(200)));

TEST(DigestReceiver, TakesTheBlocksThatItDoesNotHaveAndNoOthers) {
  std::mt19937_64 rng(1);
  Receiver r;
  const Bytes bytes = random_bytes(rng, 70'000);
  Bytes other = bytes;
  other[64] ^= std::byte{1};
  EXPECT_EQ(r.give(bytes, {64, 64}, {}), Drop::kNone);
  EXPECT_EQ(r.give(other, {0, 192}, {}), Drop::kNone);
  EXPECT_EQ(r.give(other, {0, 192}, {}), Drop::kDuplicate);
  EXPECT_EQ(r.give(bytes, {192, 70'000 - 192}, crc_part(bytes)), Drop::kNone);
  Message m;
  ASSERT_EQ(r.next(m), LaneReader::Next::kMessage);
  EXPECT_EQ(Bytes(m.data, m.data + m.len), bytes);
}

TEST(DigestReceiver, BelievesTheFramesWhereNobodySaysADigest) {
  std::mt19937_64 rng(1);
  Receiver r;
  const Bytes bytes = random_bytes(rng, 70'000);
  EXPECT_EQ(r.give(bytes, {0, 70'000}, {}), Drop::kNone);
  Message m;
  EXPECT_EQ(r.next(m), LaneReader::Next::kMessage);
}

TEST(DigestReceiver, GoesOnBehindTheGap) {
  std::mt19937_64 rng(1);
  Receiver r;
  const Bytes bytes = random_bytes(rng, 70'016);
  EXPECT_EQ(
      r.p.give_batch({.alias = 5, .epoch = 1, .position = 1, .arena_position = 70'016}, {"next"}),
      Drop::kNone);
  EXPECT_EQ(r.give(bytes, {0, 70'016}, ~crc_part(bytes)), Drop::kNone);
  Message m;
  EXPECT_EQ(r.next(m), LaneReader::Next::kGap);
  ASSERT_EQ(r.next(m), LaneReader::Next::kMessage);
  EXPECT_EQ(test::text_of(m), "next");
  EXPECT_EQ(r.in.stats().delivered.read(), 2u);
  EXPECT_EQ(r.in.stats().gaps.read(), 1u);
}

// --- the sender ---
class DigestSender : public ::testing::TestWithParam<bool> {
 protected:
  DigestSender() : lane(kLane), feed(lane), out(5, 1, kLane, feed) {
    if (GetParam()) feed.copy_payloads();
    p.connect();
    EXPECT_EQ(p.link.add_out(&out), Errc::kOk);
  }
  std::vector<FragmentHeader> pieces() {
    std::vector<FragmentHeader> heads;
    for (const TakenFrame& f : p.take(FrameType::kFragment, 256))
      heads.push_back(parse_fragment(f.span())->header);
    return heads;
  }
  std::vector<FragmentHeader> send(const Bytes& bytes) {
    EXPECT_EQ(lane.writer().send({}, bytes), Errc::kOk);
    p.link.wake(&out);
    return pieces();
  }

  ScriptedPeer p;
  TestLane lane;
  LaneFeed feed;
  OutLane out;
};

TEST_P(DigestSender, SaysItInThePieceThatReachesTheEndHoweverOftenThatGoes) {
  std::mt19937_64 rng(1);
  const Bytes bytes = random_bytes(rng, kDigestFrom + 100);
  const auto sent = send(bytes);
  ASSERT_FALSE(sent.empty());
  for (const FragmentHeader& h : sent)
    EXPECT_EQ(h.digest.has_value(), h.offset + h.piece_len == bytes.size());
  EXPECT_EQ(sent.back().digest, crc_part(bytes));
  p.give_ack(1, p.link.stats().tx_frames.read() - 1);  // all but the last piece
  bool again = false;
  for (int i = 0; i < 20 && !again; i++, p.now += kSecond / 100)
    for (const FragmentHeader& h : pieces())
      if (h.offset == sent.back().offset) again = h.digest == crc_part(bytes);
  EXPECT_TRUE(again);
  EXPECT_TRUE(p.ok);
}

TEST_P(DigestSender, SaysNoneOfAMessageThatIsNotLarger) {
  const auto sent = send(Bytes(kDigestFrom));
  ASSERT_FALSE(sent.empty());
  for (const FragmentHeader& h : sent)
    EXPECT_FALSE(h.digest);
  EXPECT_TRUE(p.ok);
}

INSTANTIATE_TEST_SUITE_P(, DigestSender, ::testing::Bool(),
                         [](const auto& of) { return of.param ? "Copied" : "Referred"; });

// --- both ---
// A piece is damaged on its way. Before it goes once more, its publisher may change it.
LaneReader::Next one_piece_lost(bool changed, Bytes& got) {
  RigConfig c;
  c.port.max_frame = 1514;
  LinkRig rig(c);
  EXPECT_TRUE(rig.connect());
  Flow& flow = rig.add_flow(0, {.lane = kLane, .mirror = kLane});
  std::byte* at = flow.lane.writer().loan(100'000);
  std::fill_n(at, 100'000, std::byte{3});
  flow.lane.writer().commit({.topic = 0});
  bool lost = false;
  rig.tap = [&](size_t side, std::span<std::byte> frame) {
    const auto hop = parse_hop(frame);
    if (side != 0 || lost || hop->type != FrameType::kFragment) return;
    if (load_le<uint64_t>(&frame[kHopHeaderSize + 32]) < 50'000) return;
    lost = true;
    frame[kHopHeaderSize + 40] ^= std::byte{1};
    if (changed) at[load_le<uint64_t>(&frame[kHopHeaderSize + 32]) + 5] = std::byte{4};
  };
  Message m;
  LaneReader::Next next = LaneReader::Next::kEmpty;
  rig.run_until(
      [&] {
        next = flow.reader.next(m);
        return next != LaneReader::Next::kEmpty;
      },
      kSecond);
  EXPECT_TRUE(lost);
  EXPECT_EQ(rig.link(1).stats().drops.read(Drop::kBadChecksum), 1u);
  if (next == LaneReader::Next::kMessage) got.assign(m.data, m.data + m.len);
  const bool gap = next == LaneReader::Next::kGap;
  EXPECT_TRUE(!gap || m.parts == static_cast<uint16_t>(Drop::kMalformed));
  rig.run_until([&] { return flow.out.idle(); }, kSecond);
  EXPECT_TRUE(flow.out.idle());
  return next;
}

TEST(Digest, AMessageThatChangesBetweenTwoTransmissionsBecomesAGap) {
  Bytes got;
  EXPECT_EQ(one_piece_lost(false, got), LaneReader::Next::kMessage);
  EXPECT_EQ(got, Bytes(100'000, std::byte{3}));
  EXPECT_EQ(one_piece_lost(true, got), LaneReader::Next::kGap);
}

}  // namespace
}  // namespace penstock
