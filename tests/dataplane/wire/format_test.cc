// FORMAT.md is the specification: each of its examples parses to the values that the page says, and
// writing those values gives the example's bytes. A change here is a change of the wire.
#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <span>

#include "dataplane/wire/ack.h"
#include "dataplane/wire/batch.h"
#include "dataplane/wire/close.h"
#include "dataplane/wire/crc32c.h"
#include "dataplane/wire/fragment.h"
#include "dataplane/wire/hello.h"
#include "dataplane/wire/hop_header.h"
#include "dataplane/wire/ping.h"
#include "dataplane/wire/put_record.h"
#include "dataplane/wire/relay.h"
#include "tests/dataplane/wire/format_examples.h"

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

Bytes example(const std::string& name) {
  const auto all = format_examples();
  const auto it = all.find(name);
  EXPECT_NE(it, all.end()) << name << " is not in FORMAT.md";
  return it == all.end() ? Bytes(kHopHeaderSize) : it->second;
}

std::span<const std::byte> body(const Bytes& frame) {
  return std::span(frame).subspan(kHopHeaderSize);
}

// A sealed frame of this header and what `fill` writes behind it, returning its size.
Bytes written(const HopHeader& h, const std::function<size_t(std::span<std::byte>)>& fill) {
  Bytes out(2048, std::byte{0xee});  // stale bytes, so that whatever isn't written shows
  write_hop(h, out);
  const size_t size = fill(std::span(out).subspan(kHopHeaderSize));
  out.resize(kHopHeaderSize + size);
  seal(out, {});
  return out;
}

// The header as parsed, without the checksum, which is for seal() to write.
HopHeader hop_of(const Bytes& frame) {
  HopHeader h = parse_hop(frame).value_or(HopHeader{});
  h.crc = 0;
  return h;
}

TEST(Format, HasAnExampleOfEveryFrameAndItsChecksumIsRight) {
  const auto all = format_examples();
  EXPECT_EQ(all.size(), 15u);
  for (const auto& [name, frame] : all) {
    if (name == "put_record" || name == "pass_note") continue;  // no frames
    EXPECT_TRUE(parse_hop(frame)) << name;
    EXPECT_TRUE(check(frame, {})) << name;
  }
}

TEST(Format, Hello) {
  const Bytes frame = example("hello");
  EXPECT_EQ(frame.size(), kHelloFrameSize);
  const HopHeader hop{FrameType::kHello, 0, 0x0102, 0, 1, 0x1000, 0};
  const Hello hello{4, 0,         8972, 7, 0x0102, 0, 0x01a5c003, 0xdecafbad, 0x0123456789abcdef,
                    0, 0x44332211};
  EXPECT_EQ(hop_of(frame), hop);
  EXPECT_EQ(parse_hello(body(frame)), hello);
  EXPECT_EQ(written(hop, [&](auto out) { return write_hello(hello, out); }), frame);
}

TEST(Format, PutRecord) {
  const Bytes bytes = example("put_record");
  ASSERT_EQ(bytes.size(), kPutRecordSize);
  const PutRecord record{
      5, 131072, {5, 3, 104, 14720, 300'000, 65536, 0x17979cfe362a0004, 0, 52, 2, 1}};
  const auto parsed = parse_put_record(std::span(bytes).first<kPutRecordSize>());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, record);
  std::array<std::byte, kPutRecordSize> out;
  write_put_record(record, out);
  EXPECT_TRUE(std::ranges::equal(out, bytes));
}

TEST(Format, PassNote) {
  const Bytes bytes = example("pass_note");
  ASSERT_EQ(bytes.size(), kPutRecordSize);
  const auto in = std::span(bytes).first<kPutRecordSize>();
  const PassNote note{6,       PassNote::Kind::kGrant, 0x00b1e005, 5, 3, 104,
                      300'000, 0x7fc000001000,         0x1234,     9};
  EXPECT_EQ(parse_pass_note(in), note);
  EXPECT_FALSE(parse_put_record(in)) << "it is no record of a message";
  std::array<std::byte, kPutRecordSize> out;
  write_pass_note(note, out);
  EXPECT_TRUE(std::ranges::equal(out, bytes));
}

TEST(Format, PassNoteThatBreaksTheFormatIsNone) {
  const Bytes good = example("pass_note");
  const auto broken = [&](size_t at, int value) {
    Bytes b = good;
    b[at] = static_cast<std::byte>(value);
    return !parse_pass_note(std::span(b).first<kPutRecordSize>()).has_value();
  };
  EXPECT_TRUE(broken(0, 0)) << "number 0";
  for (const size_t at : {8, 15, 52, 95, 101})
    EXPECT_TRUE(broken(at, 1)) << at;
  EXPECT_TRUE(broken(100, 0)) << "no kind";
  EXPECT_TRUE(broken(100, 3)) << "none that we know";
  EXPECT_TRUE(broken(100, 2)) << "what is over has no address";
  EXPECT_TRUE(broken(32 + 7, 0x80)) << "more than can be put";
  EXPECT_FALSE(broken(40, 9)) << "any address is one";
}

// What is reserved is zero, there is something to put, and it lies in its message.
TEST(Format, PutRecordThatBreaksTheFormatIsNone) {
  const Bytes good = example("put_record");
  const auto broken = [&](size_t at, int value) {
    Bytes b = good;
    b[at] = static_cast<std::byte>(value);
    return !parse_put_record(std::span(b).first<kPutRecordSize>()).has_value();
  };
  EXPECT_TRUE(broken(0, 0)) << "number 0";
  EXPECT_TRUE(broken(8 + 2, 0)) << "nothing to put";
  EXPECT_TRUE(broken(8, 1)) << "half a block";
  EXPECT_TRUE(broken(8 + 2, 4)) << "more than the message has from there on";
  EXPECT_TRUE(broken(8 + 7, 0x80)) << "so much that the sum wraps";
  EXPECT_TRUE(broken(16 + 32, 1)) << "from the middle of a block";
  EXPECT_TRUE(broken(16 + 32 + 2, 5)) << "behind the message";
  EXPECT_TRUE(broken(16 + 32 + 7, 0x80)) << "far behind it";
  EXPECT_FALSE(broken(16 + 32 + 2, 0)) << "its beginning is a part";
  for (const size_t at : {16 + 70, 16 + 72, 16 + 76, 100})
    EXPECT_TRUE(broken(at, 1)) << at;
  EXPECT_TRUE(broken(16 + 68, 0)) << "no part";
  EXPECT_TRUE(broken(16 + 24 + 7, 0x80)) << "more than can be said in chunks";
  EXPECT_FALSE(broken(16 + 40, 9)) << "any time is one";
}

TEST(Format, HelloAck) {
  const Bytes frame = example("hello_ack");
  const HopHeader hop{FrameType::kHelloAck, 0, 0x0b0a, 0x01a5c003, 1, 0x1010, 0};
  const Hello hello{4,          0,          8972, 9,          0x0c0b0a,  0x0102,
                    0x00b1e005, 0xdecafbad, 0,    0x66778899, 0x667788aa};
  EXPECT_EQ(hop_of(frame), hop);
  EXPECT_EQ(parse_hello_ack(body(frame)), hello);
  EXPECT_EQ(written(hop, [&](auto out) { return write_hello_ack(hello, out); }), frame);
}

TEST(Format, Retry) {
  const Bytes frame = example("retry");
  const HopHeader hop{FrameType::kRetry, 0, 0x0b0a, 0x01a5c003, 0, 0x1008, 0};
  const Retry retry{0xdecafbad, 0x0123456789abcdef};
  EXPECT_EQ(hop_of(frame), hop);
  EXPECT_EQ(parse_retry(body(frame)), retry);
  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      write_retry(retry, out);
                      return kRetrySize;
                    }),
            frame);
}

TEST(Format, Batch) {
  const Bytes frame = example("batch");
  const HopHeader hop{FrameType::kBatch, 0, 0x0102, 0x00b1e005, 2, 0x2000, 0};
  const BatchHeader batch{5, 3, 100, 6400, 40};
  EXPECT_EQ(hop_of(frame), hop);
  ASSERT_EQ(parse_batch(body(frame)), batch);

  BatchReader in(body(frame));
  Record a, b, gap, none;
  ASSERT_TRUE(in.next(a) && in.next(b) && in.next(gap));
  EXPECT_FALSE(in.next(none) || in.malformed());
  EXPECT_EQ(std::memcmp(a.bytes, "hello", a.len), 0);
  EXPECT_EQ(a.topic, 2u);
  EXPECT_EQ(a.time, 1700000000000000001u);
  EXPECT_EQ(a.source, 40u);
  EXPECT_EQ(b.parts, 2u);
  EXPECT_EQ(b.key, 0x6b6579u);
  EXPECT_EQ(b.source, 44u);
  EXPECT_TRUE(gap.gap);
  EXPECT_EQ(gap.key, 6u);
  EXPECT_EQ(gap.parts, 1u);
  EXPECT_EQ(gap.source, 45u);

  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      BatchWriter w(batch, out);
                      EXPECT_TRUE(w.append(a) && w.append(b) && w.append(gap));
                      return w.size();
                    }),
            frame);
}

TEST(Format, Fragment) {
  const Bytes frame = example("fragment");
  const HopHeader hop{FrameType::kFragment, 0, 0x0102, 0x00b1e005, 3, 0x2001, 0};
  const FragmentHeader head{5, 3,  103, 6656, 99978, 99968,     1700000000000000003u,
                            0, 51, 2,   1,    10,    0x0badf00d};
  EXPECT_EQ(hop_of(frame), hop);
  const auto f = parse_fragment(body(frame));
  ASSERT_TRUE(f);
  EXPECT_EQ(f->header, head);
  EXPECT_EQ(f->piece.front(), std::byte{0xa0});
  EXPECT_EQ(f->piece.data() + f->piece.size(), frame.data() + frame.size());
  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      write_fragment(head, out);
                      std::memcpy(&out[kFragmentHeaderSize], f->piece.data(), f->piece.size());
                      return kFragmentHeaderSize + f->piece.size();
                    }),
            frame);
}

TEST(Format, Announce) {
  const Bytes frame = example("announce");
  const HopHeader hop{FrameType::kAnnounce, 0, 0x0102, 0x00b1e005, 5, 0x2002, 0};
  const FragmentHeader head{5, 3, 104, 14720, 300000, 0, 1700000000000000004u, 0, 52, 2, 1, 64};
  EXPECT_EQ(hop_of(frame), hop);
  const auto a = parse_announce(body(frame));
  ASSERT_TRUE(a);
  EXPECT_EQ(a->fragment.header, head);
  EXPECT_EQ(a->relay, 8u);
  EXPECT_TRUE(a->puts);
  EXPECT_EQ(a->fragment.piece.front(), std::byte{0xb0});
  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      write_fragment(head, out);
                      size_t at = kFragmentHeaderSize;
                      std::memcpy(&out[at], a->fragment.piece.data(), a->fragment.piece.size());
                      at += a->fragment.piece.size();
                      write_announce_tail(a->relay, a->puts, &out[at]);
                      return at + kAnnounceTailSize;
                    }),
            frame);
}

TEST(Format, Pass) {
  const Bytes frame = example("pass");
  const HopHeader hop{FrameType::kPass, 0, 0x0102, 0x00c2f006, 6, 0x2003, 0};
  const Pass pass{4, 1, 90, 8000 * 64, 300000, 9, 0x00b1e005, 5, 3, 104};
  EXPECT_EQ(hop_of(frame), hop);
  EXPECT_EQ(parse_pass(body(frame)), pass);
  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      write_pass(pass, out);
                      return kPassSize;
                    }),
            frame);
}

TEST(Format, Relayed) {
  const Bytes frame = example("relayed");
  const HopHeader hop{FrameType::kRelayed, 0, 0x0d0c, 0x00d30007, 9, 0x2004, 0};
  const RelayedHeader head{0x00b1e005, 5, 3, 32, 104, 299968, 0x0badf00d};
  EXPECT_EQ(hop_of(frame), hop);
  const auto r = parse_relayed(body(frame));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->header, head);
  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      write_relayed(head, out);
                      std::memcpy(&out[kRelayedHeaderSize], r->piece.data(), r->piece.size());
                      return kRelayedHeaderSize + r->piece.size();
                    }),
            frame);
}

TEST(Format, Landed) {
  const Bytes frame = example("landed");
  const HopHeader hop{FrameType::kLanded, 0, 0x0b0a, 0x01a5c003, 7, 0x2005, 0};
  const Landed landed{5, 3, 104, 65536};
  EXPECT_EQ(hop_of(frame), hop);
  EXPECT_EQ(parse_landed(body(frame)), landed);
  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      write_landed(landed, out);
                      return kLandedSize;
                    }),
            frame);
}

TEST(Format, Ack) {
  const Bytes frame = example("ack");
  const HopHeader hop{FrameType::kAck, 0, 0x0b0a, 0x01a5c003, 2, 0x2005, 0};
  const Ack ack{300, 64, {0b101, 0, 0, uint64_t{1} << 63}, 32, 100, 3};
  const Credit credit{5, 3, 103, 6656};
  EXPECT_EQ(hop_of(frame), hop);
  const auto a = parse_ack(body(frame));
  ASSERT_TRUE(a);
  EXPECT_EQ(a->ack, ack);
  EXPECT_TRUE(ack.has(300) && ack.has(299) && ack.has(297) && ack.has(44));
  ASSERT_EQ(a->credits.size(), 1u);
  EXPECT_EQ(a->credits[0], credit);
  EXPECT_EQ(written(hop, [&](auto out) { return write_ack(ack, {&credit, 1}, out); }), frame);
}

TEST(Format, PingAndPong) {
  for (const bool ping : {true, false}) {
    const Bytes frame = example(ping ? "ping" : "pong");
    const HopHeader hop =
        ping ? HopHeader{FrameType::kPing, kHopAckNow, 0x0102, 0x00b1e005, 4, 0x3000, 0}
             : HopHeader{FrameType::kPong, 0, 0x0b0a, 0x01a5c003, 3, 0x3004, 0};
    EXPECT_EQ(hop_of(frame), hop);
    ASSERT_EQ(ping ? parse_ping(body(frame)) : parse_pong(body(frame)), 0x1122334455667788u);
    EXPECT_EQ(written(hop,
                      [&](auto out) {
                        write_ping(0x1122334455667788, out);
                        return kPingSize;
                      }),
              frame);
  }
}

TEST(Format, Close) {
  const Bytes frame = example("close");
  const HopHeader hop{FrameType::kClose, 0, 0x0b0a, 0x01a5c003, 4, 0x4000, 0};
  const Close close{LinkClose::kVersion, 2};
  EXPECT_EQ(hop_of(frame), hop);
  EXPECT_EQ(parse_close(body(frame)), close);
  EXPECT_EQ(written(hop,
                    [&](auto out) {
                      write_close(close, out);
                      return kCloseSize;
                    }),
            frame);
}

}  // namespace
}  // namespace penstock
