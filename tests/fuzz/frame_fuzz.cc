// Any bytes as a link frame, or as a put record: no decoder reads beyond them, and what one accepts
// its encoder writes back byte for byte.
#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

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

namespace {

using namespace penstock;
using Bytes = std::span<const std::byte>;

void require(bool holds) {
  if (!holds) std::abort();
}

void require_same(Bytes a, Bytes b) {
  require(std::ranges::equal(a, b));
}

void batch(Bytes body, std::span<std::byte> out) {
  const auto h = parse_batch(body);
  if (!h) return;
  BatchReader in(body);
  BatchWriter w(*h, out);
  for (Record r; in.next(r);) {
    require(r.bytes >= body.data() && r.bytes + r.len <= body.data() + body.size());
    require(w.append(r));
  }
  require_same(out.first(w.size()), body.first(w.size()));
  require(in.malformed() || w.size() == body.size());
}

void fragment(Bytes body, std::span<std::byte> out) {
  const auto f = parse_fragment(body);
  if (!f) return;
  require(f->header.offset + f->piece.size() <= f->header.message_len);
  write_fragment(f->header, out);
  require_same(out.first(kFragmentHeaderSize), body.first(kFragmentHeaderSize));
  require_same(f->piece, body.subspan(kFragmentHeaderSize));
  const auto cut = parse_fragment(body.first(kFragmentHeaderSize), f->piece);
  require(cut && cut->header == f->header && cut->piece.data() == f->piece.data());
}

// No frame, but bytes of a peer's all the same: what is accepted lies in its message.
void put_record(Bytes bytes, std::span<std::byte> out) {
  if (bytes.size() < kPutRecordSize) return;
  if (const auto n = parse_pass_note(bytes.first<kPutRecordSize>())) {
    std::array<std::byte, kPutRecordSize> note;
    write_pass_note(*n, note);
    require_same(note, bytes.first(kPutRecordSize));
  }
  const auto r = parse_put_record(bytes.first<kPutRecordSize>());
  if (!r) return;
  const FragmentHeader& m = r->message;
  require(r->bytes != 0 && m.offset < m.message_len && r->bytes <= m.message_len - m.offset);
  write_put_record(*r, out.first<kPutRecordSize>());
  require_same(out.first(kPutRecordSize), bytes.first(kPutRecordSize));
}

void announce(Bytes body, std::span<std::byte> out) {
  const auto a = parse_announce(body);
  if (!a) return;
  write_fragment(a->fragment.header, out);
  require_same(out.first(kFragmentHeaderSize), body.first(kFragmentHeaderSize));
  require(kFragmentHeaderSize + a->fragment.piece.size() + kAnnounceTailSize == body.size());
}

void pass(Bytes body, std::span<std::byte> out) {
  const auto p = parse_pass(body);
  if (!p) return;
  write_pass(*p, out);
  require_same(out.first(kPassSize), body);
}

void relayed(Bytes body, std::span<std::byte> out) {
  const auto r = parse_relayed(body);
  if (!r) return;
  write_relayed(r->header, out);
  require_same(out.first(kRelayedHeaderSize), body.first(kRelayedHeaderSize));
  require_same(r->piece, body.subspan(kRelayedHeaderSize));
}

void landed(Bytes body, std::span<std::byte> out) {
  const auto l = parse_landed(body);
  if (!l) return;
  write_landed(*l, out);
  require_same(out.first(kLandedSize), body);
}

void ack(Bytes body, std::span<std::byte> out) {
  const auto a = parse_ack(body);
  if (!a) return;
  std::vector<Credit> credits;
  for (size_t i = 0; i < a->credits.size(); i++)
    credits.push_back(a->credits[i]);
  require_same(out.first(write_ack(a->ack, credits, out)), body);
  require(!a->ack.has(0) && !a->ack.has(a->ack.largest + 1));
}

void hello(Bytes body, bool answer, std::span<std::byte> out) {
  const auto h = answer ? parse_hello_ack(body) : parse_hello(body);
  if (!h) return;
  require_same(out.first(answer ? write_hello_ack(*h, out) : write_hello(*h, out)), body);
}

void ping(Bytes body, std::span<std::byte> out) {
  const auto token = parse_ping(body);
  if (!token) return;
  write_ping(*token, out);
  require_same(out.first(kPingSize), body.first(kPingSize));
}

void close(Bytes body, std::span<std::byte> out) {
  const auto c = parse_close(body);
  if (!c) return;
  require(text(c->reason) != nullptr);
  write_close(*c, out);
  require_same(out.first(kCloseSize), body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes frame = std::as_bytes(std::span(data, size));
  check(frame, {});
  std::vector<std::byte> out(std::max<size_t>(size, kHelloFrameSize));
  put_record(frame, out);
  const auto h = parse_hop(frame);
  if (!h) return 0;
  write_hop(*h, out);
  require_same(std::span(out).first(kHopHeaderSize), frame.first(kHopHeaderSize));
  const Bytes body = frame.subspan(kHopHeaderSize);
  switch (h->type) {
    case FrameType::kHello:
    case FrameType::kHelloAck:
      hello(body, h->type == FrameType::kHelloAck, out);
      break;
    case FrameType::kRetry:
      if (const auto r = parse_retry(body)) {
        write_retry(*r, out);
        require_same(std::span(out).first(kRetrySize), body);
      }
      break;
    case FrameType::kBatch:
      batch(body, out);
      break;
    case FrameType::kAnnounce:
      announce(body, out);
      break;
    case FrameType::kPass:
      pass(body, out);
      break;
    case FrameType::kRelayed:
      relayed(body, out);
      break;
    case FrameType::kLanded:
      landed(body, out);
      break;
    case FrameType::kFragment:
      fragment(body, out);
      break;
    case FrameType::kAck:
      ack(body, out);
      break;
    case FrameType::kPing:
    case FrameType::kPong:
      ping(body, out);
      break;
    case FrameType::kClose:
      close(body, out);
      break;
  }
  return 0;
}
