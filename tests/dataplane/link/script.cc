#include "tests/dataplane/link/script.h"

#include <array>
#include <bit>
#include <fstream>

#include "dataplane/base/drop.h"

namespace penstock::test {
namespace {

constexpr const char* kWhy[] = {"nothing",     "silent",      "peer_restarted", "peer_reset",
                                "peer_closed", "closed_here", "peer_version",   "stale_here"};
constexpr const char* kKind[] = {"up", "down", "refused"};

std::string since(uint64_t ns) {
  return ns % 1000 == 0 ? std::to_string(ns / 1000) + "us" : std::to_string(ns) + "ns";
}

}  // namespace

std::string Script::play(const std::string& path) {
  std::ifstream file(path);
  Script s;
  int number = 0;
  for (std::string text; std::getline(file, text) && s.why_.empty();) {
    number++;
    s.line(text);
  }
  if (s.why_.empty()) s.settled();
  if (s.peer_ == nullptr) s.fail("nothing in it");
  if (s.why_.empty()) return {};
  return path + ":" + std::to_string(number) + ": " + s.why_;
}

void Script::line(const std::string& text) {
  Words words(text);
  if (words.empty()) return;
  const std::string when = words.next();
  const bool relative = when.starts_with('+');
  const auto time = Words::parse(std::string_view(when).substr(relative ? 1 : 0));
  if (!time) return fail("no time: " + when);
  const uint64_t at = *time + (relative ? last_ : 0);
  if (at < last_) return fail("time goes back");
  const std::string what = words.next();
  if (at != last_ && what != "asleep") pass(zero_ + at);
  last_ = at;
  if (!why_.empty()) return;
  verb(what, words);
  if (why_.empty() && !words.empty()) fail("what is " + words.rest() + "?");
}

void Script::verb(const std::string& verb, Words& words) {
  if (verb == "config") return config(words);
  make();
  if (verb == "connect") return connect(words);
  if (verb == "start") return peer_->link.start(peer_->now);
  if (verb == "lanes") return add_lanes();
  if (verb == "out") return each(words, &Script::expect_frame);
  if (verb == "in") return each(words, &Script::give);
  if (verb == "event") return expect_event(words);
  if (verb == "state") return expect_state(words);
  if (verb == "none") return turn(), settled();
  if (verb == "asleep") return static_cast<void>(peer_->now = zero_ + last_);
  if (out_ == nullptr) return fail("no lanes for " + verb);
  if (verb == "publish") return publish(words);
  if (verb == "miss") return miss(words);
  if (verb == "read") return expect_read(words);
  if (verb == "unreadable") return feed_->break_looks(true);
  fail("no such verb: " + verb);
}

// One worker: it looks when a timer says so, and when something came.
void Script::pass(uint64_t to) {
  make();
  turn();
  settled();
  for (int looks = 0; why_.empty(); looks++) {
    const uint64_t at = std::max(peer_->link.next_deadline(), peer_->now);
    if (at >= to) break;
    if (looks > 100'000) return fail("a timer that never ends");
    peer_->now = at;
    turn();
    settled();
  }
  peer_->now = to;
}

void Script::turn() {
  Link& link = peer_->link;
  for (int looks = 0;; looks++) {
    const bool work = link.has_work(peer_->now);
    const auto frames = peer_->take();
    if (!frames.empty() && !work) fail("a frame went out although there was no work");
    for (const TakenFrame& f : frames) {
      sent_.push_back(describe(f, numbers_));
      last_out_ = f.hop.packet;
      if (f.hop.type == FrameType::kPing) ping_token_ = *parse_ping(f.span());
      if (f.hop.type == FrameType::kHello) hello_nonce_ = parse_hello(f.span())->nonce;
    }
    if (frames.empty() && !link.has_work(peer_->now)) break;
    if (looks > 100) return fail("there is work and the link does not do it");
  }
  if (!peer_->ok) fail("a frame went out that was not sealed");
}

// Nothing was said that the script has not named.
void Script::settled() {
  if (peer_ == nullptr) return;
  const std::string at = " at " + since(peer_->now - zero_);
  if (!sent_.empty())
    fail("nothing more was expected" + at + ", but out came\n  " + sent_[0].text());
  if (peer_->link.has_event()) fail("no event was expected" + at);
}

void Script::config(Words& w) {
  if (peer_ != nullptr) return fail("config comes first");
  LinkConfig& c = config_;
  c.window = static_cast<uint32_t>(w.number("window", c.window));
  c.min_pto_ns = w.number("min_pto", c.min_pto_ns);
  c.ack_delay_ns = w.number("ack_delay", c.ack_delay_ns);
  c.dead_after_ns = w.number("dead_after", c.dead_after_ns);
  c.congestion = w.flag("congestion");
  c.queue_ns = w.number("queue", c.queue_ns);
  c.first_packet = w.number("first_packet", c.first_packet);
  c.self_epoch = w.number("epoch", c.self_epoch);
  peer_frame_ = static_cast<uint32_t>(w.number("peer_frame", peer_frame_));
  inflow_rate_ = w.number("inflow", 0);
  start_ = w.number("position", 0);
  const uint64_t ring = w.number("mirror_ring", mirror_geometry_.ring_size());
  const uint64_t arena = w.number("mirror_arena", mirror_geometry_.arena_size());
  mirror_geometry_.ring_log2 = static_cast<uint32_t>(std::bit_width(ring) - 1);
  mirror_geometry_.arena_log2 = static_cast<uint32_t>(std::bit_width(arena) - 1);
}

void Script::make() {
  if (peer_ != nullptr) return;
  peer_ = std::make_unique<ScriptedPeer>(config_);
  inflow_ = std::make_unique<Inflow>(inflow_rate_);
  if (inflow_rate_ != 0) peer_->link.set_inflow(inflow_.get());
  zero_ = peer_->now;
  numbers_.out = config_.first_packet - 1;
}

// Up, each PING that the path carries answered after `rtt`; from then on time and packets count.
void Script::connect(Words& words) {
  ScriptedPeer& p = *peer_;
  const uint64_t rtt = words.number("rtt", 1000);
  const uint64_t carries = words.number("carries", peer_frame_);
  p.packet = words.number("peer_packet", 0);
  p.link.start(p.now);
  Hello h = p.hello();
  h.nonce = parse_hello(p.take(FrameType::kHello).at(0).span())->nonce;
  h.max_frame = static_cast<uint16_t>(peer_frame_);
  p.give_hello_ack(h);
  for (auto pings = p.take(FrameType::kPing); !pings.empty(); pings = p.take(FrameType::kPing)) {
    p.now += rtt;
    for (const auto& f : pings) {
      last_out_ = f.hop.packet;
      if (f.body.size() + kHopHeaderSize <= carries)
        p.give(FrameType::kPong, f.span().first(kPingSize));
    }
  }
  if (p.events().size() != 1 || !p.link.up()) return fail("the link did not come up");
  numbers_ = {.out = last_out_, .in = p.packet};
  zero_ = p.now;
  last_ = 0;
  add_lanes();
}

void Script::add_lanes() {
  const LaneGeometry lane{.ring_log2 = 11, .arena_log2 = 22, .topics = 1};
  const uint64_t fill = start_ * kArenaAlign;
  lane_ = std::make_unique<TestLane>(lane, 1, start_, fill);
  mirror_ = std::make_unique<TestLane>(mirror_geometry_, 2, start_, fill);
  feed_ = std::make_unique<LaneFeed>(*lane_);
  reader_ = mirror_->read();
  out_ = std::make_unique<OutLane>(1, 1, mirror_geometry_, *feed_,
                                   OutLane::Start{.position = start_, .arena = fill});
  in_ = std::make_unique<InLane>(1, 1, mirror_->writer(), 1);
  published_ = start_;
  if (peer_->link.add_out(out_.get()) != Errc::kOk || peer_->link.add_in(in_.get()) != Errc::kOk)
    fail("the link takes no lanes");
}

// 3x100: three messages of 100 bytes.
void Script::publish(Words& words) {
  const std::string what = words.next();
  const auto x = what.find('x');
  const auto n = Words::parse(what.substr(0, x));
  const auto len = x == what.npos ? std::nullopt : Words::parse(what.substr(x + 1));
  if (!n || !len) return fail("publish COUNTxBYTES");
  for (uint64_t i = 0; i < *n; i++)
    if (lane_->writer().send({}, script_message(published_++, *len)) != Errc::kOk)
      return fail("the lane is full");
  peer_->link.wake(out_.get());
}

// 6 overrun: the lane says that so many messages are missing here.
void Script::miss(Words& words) {
  const auto n = Words::parse(words.next());
  const auto reason = static_cast<uint16_t>(drop_of(words.next()));
  if (!n || lane_->writer().loan(0) == nullptr) return fail("miss COUNT REASON");
  lane_->writer().commit({.parts = reason, .flags = kFlagGap, .key = *n});
  published_++;
  peer_->link.wake(out_.get());
}

void Script::each(Words& words, void (Script::*what)(Words&)) {
  Words first = words;
  const auto n = Words::parse(first.next());
  if (!n) return (this->*what)(words);
  for (uint64_t i = 0; i < *n && why_.empty(); i++) {
    Words one = first;
    one.add("packet", i);
    one.add("position", i);
    (this->*what)(one);
    if (why_.empty() && !one.empty()) fail("what is " + one.rest() + "?");
  }
  words.all();
}

void Script::expect_frame(Words& words) {
  turn();
  const std::string said = words.rest();
  if (sent_.empty()) return fail("expected\n  " + said + "\nbut nothing went out");
  const std::string why = sent_[0].differs(words);
  if (!why.empty())
    fail("expected\n  " + said + "\nbut out came\n  " + sent_[0].text() + "\n" + why);
  sent_.pop_front();
  words.all();
}

void Script::give(Words& words) {
  constexpr std::array kTypes = {"HELLO", "HELLO_ACK", "BATCH", "FRAGMENT", "ACK",
                                 "PING",  "PONG",      "CLOSE", "RETRY"};
  const std::string name = words.next();
  const auto type = std::ranges::find(kTypes, name);
  if (type == kTypes.end()) return fail("no such frame: " + name);
  ScriptedPeer& p = *peer_;
  HopHeader hop{.type = static_cast<FrameType>(type - kTypes.begin() + 1),
                .flags = words.flag("ask") ? uint8_t{kHopAckNow} : uint8_t{0}};
  p.epoch = words.number("from_epoch", p.epoch);
  hop.incarnation = static_cast<uint16_t>(words.number("incarnation", p.epoch));
  hop.connection = static_cast<uint32_t>(
      words.number("to", hop.type == FrameType::kHello ? 0 : p.link.connection()));
  hop.packet = words.number("packet", p.packet + 1 - numbers_.in) + numbers_.in;
  p.packet = std::max(p.packet, hop.packet);
  p.note = {.waited_ns = words.number("queued", 0), .congested = words.flag("congested")};
  const bool damaged = words.flag("damaged");
  const bool refused = words.flag("->");
  const Bytes b = body(hop.type, words, hop);
  Bytes frame(kHopHeaderSize);
  write_hop(hop, frame);
  frame.insert(frame.end(), b.begin(), b.end());
  seal(frame, {});
  if (damaged) frame.back() ^= std::byte{1};
  same(refused ? words.next() : "none", text(p.give_raw(frame)));
}

Bytes Script::body(FrameType type, Words& words, HopHeader& hop) {
  Bytes b(kPingSize);
  switch (type) {
    case FrameType::kBatch:
      return batch_body(words);
    case FrameType::kFragment:
      return fragment_body(words);
    case FrameType::kAck:
      return ack_body(words, numbers_);
    case FrameType::kPing:
      write_ping(words.number("token", 7), b);
      return b;
    case FrameType::kPong:
      write_ping(words.number("token", ping_token_), b);
      return b;
    case FrameType::kClose:
      b.resize(kCloseSize);
      write_close({static_cast<LinkClose>(words.number("reason", 1)), 0}, b);
      return b;
    case FrameType::kRetry:
      b.resize(kRetrySize);
      write_retry({.nonce = static_cast<uint32_t>(words.number("nonce", hello_nonce_)),
                   .cookie = words.number("cookie", 0)},
                  b);
      hop.packet = 0;
      return b;
    default:
      break;
  }
  Hello h = peer_->hello();
  h.max_frame = static_cast<uint16_t>(peer_frame_);
  h.epoch = words.number("epoch", peer_->epoch);
  h.connection = static_cast<uint32_t>(words.number("connection", h.connection));
  const bool hello = type == FrameType::kHello;
  h.nonce = static_cast<uint32_t>(words.number("nonce", hello ? h.nonce : hello_nonce_));
  b.resize(hello ? kHelloFrameSize - kHopHeaderSize : kHelloSize);
  hello ? write_hello(h, b) : write_hello_ack(h, b);
  return b;
}

// What the mirror's reader finds, to the end, and lets go of: "0-4 gap:5:malformed 6", or
// "nothing".
void Script::expect_read(Words& words) {
  std::string found;
  uint64_t from = 0;
  uint64_t next = 0;
  const auto close = [&] {
    if (from == next) return;
    found += " " + std::to_string(from) + (next - from > 1 ? "-" + std::to_string(next - 1) : "");
    from = next;
  };
  Message m;
  for (auto n = reader_.next(m); n != LaneReader::Next::kEmpty; n = reader_.next(m)) {
    if (n == LaneReader::Next::kGap) {
      close();
      found += " gap:" + gap_words(m.position, m.key, m.parts);
      continue;
    }
    const Bytes bytes = script_message(m.source, m.len);
    if (std::memcmp(bytes.data(), m.data, m.len) != 0) fail("other bytes in the mirror");
    if (m.source != next) close(), from = m.source;
    next = m.source + 1;
  }
  close();
  reader_.release();
  same(" " + words.all(), found.empty() ? " nothing" : found);
}

void Script::expect_event(Words& words) {
  LinkEvent e;
  if (!peer_->link.next_event(e)) return fail("no event: " + words.all());
  const bool why = e.why != LinkEvent::kNothing;
  same(words.all(), kKind[e.kind] + std::string(why ? " " : "") + (why ? kWhy[e.why] : ""));
}

void Script::expect_state(Words& words) {
  while (!words.empty() && why_.empty()) {
    const std::string word = words.next();
    const auto eq = word.find('=');
    const std::string name = word.substr(0, eq);
    uint64_t is = 0;
    if (eq == word.npos || !counter(name, is)) return fail("no such counter: " + name);
    const auto said = Words::parse(word.substr(eq + 1));
    if (!said || *said != is) fail("expected " + word + ", but it is " + std::to_string(is));
  }
}

bool Script::counter(const std::string& name, uint64_t& value) const {
  const LinkStats& s = peer_->link.stats();
  const std::pair<const char*, uint64_t> link[] = {
      {"up", peer_->link.up() ? 1 : 0},
      {"in_flight", s.in_flight.load()},
      {"window", s.window.load()},
      {"frame", s.frame.load()},
      {"srtt", s.srtt_ns.load()},
      {"min_rtt", s.min_rtt_ns.load()},
      {"lost", s.lost.read()},
      {"probes", s.probes.read()},
      {"spurious", s.spurious.read()},
      {"retransmitted", s.retransmitted.read()},
      {"duplicates", s.duplicates.read()},
      {"credit_probes", s.credit_probes.read()},
      {"narrowed", s.narrowed.read()},
      {"marked", s.marked.read()},
      {"stalls", s.stalls.read()},
      {"sessions", s.sessions.read()},
      {"sent", out_ ? out_->stats().sent.read() : 0},
      {"delivered", out_ ? out_->stats().delivered.read() : 0},
      {"broken", out_ ? out_->stats().broken.read() : 0},
      {"blocked", out_ && out_->blocked() ? 1 : 0},
      {"released", feed_ ? feed_->reader().released() : 0},
      {"placed", in_ ? in_->stats().delivered.read() : 0},
      {"early", in_ ? in_->stats().out_of_order.read() : 0},
      {"again", in_ ? in_->stats().duplicates.read() : 0},
      {"gaps", in_ ? in_->stats().gaps.read() : 0}};
  for (const auto& [n, v] : link)
    if (name == n) return value = v, true;
  return false;
}

void Script::same(const std::string& said, const std::string& is) {
  if (said != is) fail("expected " + said + ", but it is " + is);
}

}  // namespace penstock::test
