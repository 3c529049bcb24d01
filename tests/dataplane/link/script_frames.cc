#include "tests/dataplane/link/script_frames.h"

#include "dataplane/base/drop.h"
#include "dataplane/wire/hello.h"

namespace penstock::test {
namespace {

std::string str(uint64_t n) {
  return std::to_string(n);
}

// "1-3,5" of what has(i) says, i from 1 to `last`.
template <class F>
std::string ranges(uint64_t last, F&& has) {
  std::string out;
  for (uint64_t i = 1; i <= last; i++) {
    if (!has(i)) continue;
    const uint64_t from = i;
    while (i < last && has(i + 1))
      i++;
    out += (out.empty() ? "" : ",") + str(from) + (i == from ? "" : "-" + str(i));
  }
  return out.empty() ? "none" : out;
}

bool as_published(const std::byte* at, uint64_t len, uint64_t source, uint64_t offset) {
  for (uint64_t i = 0; i < len; i++)
    if (at[i] != script_byte(source, offset + i)) return false;
  return true;
}

void malformed(FrameWords& w) {
  w.must.emplace_back("malformed", "");
}

void describe_batch(const TakenFrame& f, FrameWords& w) {
  const auto h = parse_batch(f.span());
  if (!h) return malformed(w);
  BatchReader in(f.span());
  uint64_t n = 0;
  std::string gaps;
  for (Record r; in.next(r); n++) {
    if (r.gap) {
      gaps += (gaps.empty() ? "" : ",") + gap_words(h->position + n, r.key, r.parts) +
              (r.time != 0 ? ":" + str(r.time) : "");
    } else if (!as_published(r.bytes, r.len, r.source, 0)) {
      w.must.emplace_back("other_bytes_at", str(h->position + n));
    }
  }
  w.must.emplace_back("position", str(h->position));
  w.must.emplace_back("count", str(n));
  if (!gaps.empty()) w.must.emplace_back("gaps", gaps);
  if (in.malformed()) w.must.emplace_back("malformed", "");
  w.may.emplace_back("arena", str(h->arena_position));
  w.may.emplace_back("epoch", str(h->epoch));
}

void describe_fragment(const TakenFrame& f, FrameWords& w) {
  const auto p = parse_fragment(f.span());
  if (!p) return malformed(w);
  const FragmentHeader& h = p->header;
  if (!as_published(p->piece.data(), p->piece.size(), h.source, h.offset))
    w.must.emplace_back("other_bytes_at", str(h.position));
  w.must.emplace_back("position", str(h.position));
  w.must.emplace_back("offset", str(h.offset));
  w.must.emplace_back("len", str(h.piece_len));
  w.may.emplace_back("of", str(h.message_len));
  w.may.emplace_back("arena", str(h.arena_position));
}

void describe_ack(const TakenFrame& f, const Numbering& n, FrameWords& w) {
  const auto a = parse_ack(f.span());
  if (!a) return malformed(w);
  const uint64_t last = a->ack.largest > n.in ? a->ack.largest - n.in : 0;
  w.must.emplace_back("came", ranges(last, [&](uint64_t i) { return a->ack.has(n.in + i); }));
  for (size_t i = 0; i < a->credits.size(); i++) {
    const Credit c = a->credits[i];
    w.must.emplace_back("credit", str(c.position) + "/" + str(c.arena_position));
  }
  if (a->ack.allowed != kAnyNumber) w.must.emplace_back("allowed", str(a->ack.allowed));
  if (a->ack.marked != 0) w.must.emplace_back("marked", str(a->ack.marked));
  w.may.emplace_back("delay", str(uint64_t{a->ack.delay} << kTickShift));
  w.may.emplace_back("waited", str(uint64_t{a->ack.waited} << kTickShift));
}

void describe_hello(const TakenFrame& f, FrameWords& w) {
  const auto h =
      f.hop.type == FrameType::kHello ? parse_hello(f.span()) : parse_hello_ack(f.span());
  if (!h) return malformed(w);
  if (h->cookie != 0) w.must.emplace_back("cookie", str(h->cookie));
  w.may.emplace_back("epoch", str(h->epoch));
  w.may.emplace_back("peer_epoch", str(h->peer_epoch));
  w.may.emplace_back("nonce", str(h->nonce));
  w.may.emplace_back("frame", str(h->max_frame));
}

const char* name(FrameType t) {
  constexpr const char* kNames[] = {"",    "HELLO", "HELLO_ACK", "BATCH", "FRAGMENT",
                                    "ACK", "PING",  "PONG",      "CLOSE", "RETRY"};
  return kNames[static_cast<size_t>(t)];
}

// Whether a value is what a script says it is; numbers, and pairs of them, may be written as one
// likes.
bool same(const std::string& said, const std::string& is) {
  const auto slash = said.find('/');
  if (slash != said.npos && is.find('/') != is.npos)
    return same(said.substr(0, slash), is.substr(0, is.find('/'))) &&
           same(said.substr(slash + 1), is.substr(is.find('/') + 1));
  const auto n = Words::parse(said);
  return said == is || (n && str(*n) == is);
}

}  // namespace

std::string FrameWords::text() const {
  std::string out = type;
  for (const auto* fields : {&must, &may})
    for (const auto& [name, value] : *fields)
      out += " " + name + (value.empty() ? "" : "=" + value);
  return out;
}

std::string FrameWords::differs(Words& words) const {
  if (const std::string t = words.next(); t != type) return t + " was expected";
  for (const auto& [name, value] : must) {
    if (value.empty()) {
      if (!words.flag(name)) return name + " was not expected";
      continue;
    }
    const auto said = words.value(name);
    if (!said || !same(*said, value)) return name + "=" + said.value_or("?") + " was expected";
  }
  for (const auto& [name, value] : may)
    if (const auto said = words.value(name); said && !same(*said, value))
      return name + "=" + *said + " was expected";
  return words.empty() ? "" : words.rest() + " was expected";
}

FrameWords describe(const TakenFrame& f, const Numbering& n) {
  FrameWords w{.type = name(f.hop.type), .must = {}, .may = {}};
  const bool contents = f.hop.type == FrameType::kBatch || f.hop.type == FrameType::kFragment;
  (contents ? w.must : w.may).emplace_back("packet", str(f.hop.packet - n.out));
  if ((f.hop.flags & kHopAckNow) != 0) w.must.emplace_back("ask", "");
  switch (f.hop.type) {
    case FrameType::kBatch:
      describe_batch(f, w);
      break;
    case FrameType::kFragment:
      describe_fragment(f, w);
      break;
    case FrameType::kAck:
      describe_ack(f, n, w);
      break;
    case FrameType::kHello:
    case FrameType::kHelloAck:
      describe_hello(f, w);
      break;
    case FrameType::kPing:
      if (f.body.size() > kPingSize)
        w.must.emplace_back("size", str(f.body.size() + kHopHeaderSize));
      break;
    case FrameType::kPong:
      if (const auto t = parse_pong(f.span())) w.must.emplace_back("token", str(*t));
      break;
    case FrameType::kClose:
      if (const auto c = parse_close(f.span()))
        w.must.emplace_back("reason", str(static_cast<uint64_t>(c->reason)));
      break;
    case FrameType::kRetry:
    case FrameType::kAnnounce:  // of chains, which one link alone has not
    case FrameType::kPass:
    case FrameType::kRelayed:
    case FrameType::kLanded:
      break;
  }
  return w;
}

uint64_t drop_of(std::string_view reason) {
  uint64_t d = 0;
  while (d < kDrops && reason != text(static_cast<Drop>(d)))
    d++;
  return d;
}

std::string gap_words(uint64_t position, uint64_t messages, uint64_t reason) {
  return str(position) + ":" + text(static_cast<Drop>(reason)) +
         (messages != 1 ? "*" + str(messages) : "");
}

Bytes script_message(uint64_t source, uint64_t len) {
  Bytes b(len);
  for (uint64_t i = 0; i < len; i++)
    b[i] = script_byte(source, i);
  return b;
}

Bytes ack_body(Words& words, const Numbering& n) {
  Ack a{.delay = static_cast<uint32_t>(words.number("delay", 0) >> kTickShift),
        .waited = static_cast<uint32_t>(words.number("waited", 0) >> kTickShift),
        .allowed = static_cast<uint32_t>(words.number("allowed", kAnyNumber)),
        .marked = static_cast<uint32_t>(words.number("marked", 0))};
  std::vector<uint64_t> came;
  std::istringstream list(words.value("came").value_or("none"));
  for (std::string r; std::getline(list, r, ',') && r != "none";) {
    const auto dash = r.find('-');
    const uint64_t to = Words::parse(r.substr(dash + 1)).value_or(0);
    const uint64_t from = dash == r.npos ? to : Words::parse(r.substr(0, dash)).value_or(0);
    for (uint64_t i = from; i <= to; i++)
      came.push_back(n.out + i);
    a.largest = n.out + to;
  }
  for (const uint64_t p : came)
    if (const uint64_t below = a.largest - p; below != 0 && below <= kAckBits)
      a.bitmap[(below - 1) / 64] |= uint64_t{1} << ((below - 1) % 64);
  std::vector<Credit> credits;
  if (const auto c = words.value("credit")) {
    const auto slash = c->find('/');
    credits.push_back({1, static_cast<uint32_t>(words.number("epoch", 1)),
                       Words::parse(c->substr(0, slash)).value_or(0),
                       Words::parse(c->substr(slash + 1)).value_or(0)});
  }
  Bytes body(256);
  body.resize(write_ack(a, credits, body));
  return body;
}

Bytes batch_body(Words& words) {
  const uint64_t position = words.number("position", 0);
  const uint64_t len = words.number("len", 8);
  const uint64_t stands = words.number("stands", 0);
  const std::string reason = words.value("gap").value_or("");
  const uint64_t missing = words.number("missing", 1);
  Bytes body(1400);
  BatchWriter w({.alias = static_cast<uint32_t>(words.number("lane", 1)),
                 .epoch = static_cast<uint32_t>(words.number("epoch", 1)),
                 .position = position,
                 .arena_position = words.number("arena", position * kArenaAlign),
                 .source = position},
                body);
  const uint64_t count = words.number("count", 1);
  for (uint64_t i = position; i != position + count; i++) {
    const Bytes bytes = script_message(i, len);
    Record r{.bytes = bytes.data(), .len = static_cast<uint32_t>(len), .source = i};
    if (!reason.empty()) {
      r = {.parts = static_cast<uint8_t>(drop_of(reason)),
           .gap = true,
           .time = stands,
           .key = missing,
           .source = i};
    }
    w.append(r);
  }
  body.resize(w.size());
  return body;
}

Bytes fragment_body(Words& words) {
  FragmentHeader h{.alias = 1, .epoch = static_cast<uint32_t>(words.number("epoch", 1))};
  h.position = h.source = words.number("position", 0);
  h.arena_position = words.number("arena", h.position * kArenaAlign);
  h.offset = words.number("offset", 0);
  h.piece_len = static_cast<uint32_t>(words.number("len", 64));
  h.message_len = words.number("of", h.offset + h.piece_len);
  Bytes body(kFragmentHeaderSize);
  write_fragment(h, body);
  for (uint64_t i = 0; i < h.piece_len; i++)
    body.push_back(script_byte(h.source, h.offset + i));
  return body;
}

}  // namespace penstock::test
