// A link against a peer that says anything: the input is a list of frames, well sealed or not, and
// of what else happens: time passes, the application publishes and reads, lanes come and go. A
// frame's fields are small numbers near the ones that matter, so that much of it gets past the
// first check.
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/wire/hello.h"
#include "tests/fuzz/input.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace {

using namespace penstock;
using test::Bytes;
using test::Input;
using test::LaneFeed;
using test::must;
using test::ScriptedPeer;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 4, .arena_log2 = 12, .topics = 2};

class Game {
 public:
  Game()
      : p(config()),
        lane(kLane),
        mirror(kLane, 2),
        feed(lane),
        reader(mirror.read()),
        out(std::make_unique<OutLane>(1, 1, kLane, feed)),
        in(std::make_unique<InLane>(1, 1, mirror.writer(), 1)) {
    p.link.start(p.now);
  }

  void play(Input& i) {
    const uint8_t what = i.byte();
    switch (what < 0xf8 ? what % 14 : 14 + what % 4) {
      case 0:
        p.now += uint64_t{1} << (i.byte() % 36);
        break;
      case 1:
        p.give_raw(i.bytes(i.byte()));
        break;
      case 2:
        sealed(i);
        break;
      case 3:
        hello(i, false);
        break;
      case 4:
        hello(i, true);
        break;
      case 5:
        batch(i);
        break;
      case 6:
        piece(i);
        break;
      case 7:
        ack(i);
        break;
      case 8:
        p.give_ping(i.byte() & 1);
        break;
      case 9:
        p.give_close(static_cast<LinkClose>(i.byte()));
        break;
      case 10:
        publish(i);
        break;
      case 11:
        read(i);
        break;
      case 12:
        lanes(i);
        break;
      case 14:
        p.give_retry({.nonce = hello_nonce_ + i.byte() / 200u, .cookie = i.byte()});
        break;
      case 15:
        p.note = {.waited_ns = i.near(8), .congested = i.byte() % 2 == 1};
        break;
      case 16:
        whole_ack(i);
        break;
      case 17:
        pong(i);
        break;
      default:
        transmit(i);
    }
    LinkEvent e;
    if (i.byte() % 4 != 0)
      while (p.link.next_event(e)) {
      }
  }

  void check() {
    must(p.ok);
    // Of what the mirror holds nothing makes no sense: these are the gaps that came.
    const ReaderSlot& slot = *reader.join().slot;
    must(slot.malformed.load() + slot.too_big.load() == gaps_);
    must(in->stats().gaps.read() >= gaps_);
    must(in->stats().bytes.read() >= read_bytes_);
    must(out->stats().delivered.read() <= out->stats().sent.read());
  }

 private:
  static LinkConfig config() {
    LinkConfig c = ScriptedPeer::config();
    c.max_lanes = 8;
    return c;
  }

  void sealed(Input& i) {
    const uint8_t type = i.byte();
    p.give({.type = static_cast<FrameType>(1 + type % 9),
            .flags = static_cast<uint8_t>(i.byte() % 3),
            .incarnation = static_cast<uint16_t>(p.epoch + i.byte() % 2),
            .connection = type < 8 ? 0 : p.link.connection(),
            .packet = i.near(p.packet + 8)},
           i.bytes(i.byte()), i.bytes(i.byte() % 4 == 0 ? 64 : 0));
  }

  void hello(Input& i, bool answer) {
    const uint8_t what = i.byte();
    Hello h = p.hello();
    h.protocol = (what & 1) != 0 && (what & 2) != 0 ? kProtocol + 1 : kProtocol;
    h.max_frame = (what & 4) != 0 ? static_cast<uint16_t>(i.near(1200)) : h.max_frame;
    h.epoch += (what & 8) != 0 ? i.near(0) : 0;
    h.peer_epoch = (what & 16) != 0 ? i.near(3) : 0;
    h.connection += (what & 32) != 0 ? i.byte() : 0;
    h.nonce += (what & 64) != 0 ? i.byte() : 0;
    if (answer) {
      for (const auto& f : p.take(FrameType::kHello))
        h.nonce = parse_hello(f.span())->nonce;
      const uint64_t before = p.epoch;
      p.epoch = h.epoch;
      if (p.give_hello_ack(h) != Drop::kNone) p.epoch = before;
    } else if (p.give_hello(h) == Drop::kNone) {
      p.epoch = h.epoch;
    }
  }

  void batch(Input& i) {
    Bytes body(1400);
    const uint64_t source = i.byte();
    BatchWriter w(
        {.alias = uint32_t{1} + (i.byte() == 0 ? 1 : 0),
         .epoch = 1,
         .position = i.near(mirror.writer().head() + 8),
         .arena_position = (i.near(mirror.writer().fill() / 64 + 8)) * 64 + i.byte() / 128,
         .source = source},
        body);
    const int n = i.byte() % 20;
    const Bytes text(256, std::byte{'x'});
    for (int k = 0; k < n; k++) {
      const bool gap = i.byte() % 8 == 0;
      w.append({.bytes = text.data(),
                .len = gap ? 0u : i.byte(),
                .topic = static_cast<uint16_t>(i.byte() / 100),
                .parts = static_cast<uint8_t>(1 + i.byte() % 30),
                .gap = gap,
                .time = i.near(64),
                .key = i.byte(),
                .source = source + static_cast<uint64_t>(k)});
    }
    body.resize(w.size());
    if (i.byte() % 8 == 0 && !body.empty()) body[i.byte() % body.size()] ^= std::byte{i.byte()};
    p.give(FrameType::kBatch, body);
  }

  void piece(Input& i) {
    FragmentHeader h{.alias = 1,
                     .epoch = 1,
                     .position = i.near(mirror.writer().head() + 8),
                     .arena_position = i.near(mirror.writer().fill() / 64 + 8) * 64,
                     .message_len = i.near(8) * 64 + i.byte() % 64,
                     .offset = uint64_t{i.byte()} % 16 * 64,
                     .topic = i.byte() / 100u,
                     .piece_len = 64u * (1 + i.byte() % 4)};
    const uint64_t rest = h.message_len - std::min(h.message_len, h.offset);
    h.piece_len = static_cast<uint32_t>(std::min<uint64_t>(rest, h.piece_len));
    p.give_piece(h, Bytes(h.piece_len));
  }

  void ack(Input& i) {
    Ack a{.largest = i.near(sent_ + 8), .delay = i.byte()};
    const uint64_t bits = a.largest == 0 ? 0 : std::min<uint64_t>(a.largest - 1, 256);
    for (uint64_t k = 0; k < bits && k < 64; k++)
      a.bitmap[0] |= uint64_t{i.byte() & 1u} << k;
    std::vector<Credit> credits;
    for (int k = i.byte() % 3; k > 0; k--) {
      credits.push_back({1, 1, i.near(out->stats().delivered.read() + 8), i.near(8) * 64});
    }
    p.give_ack(a, credits);
  }

  // Any bits, also those of packets that never were, and what the latest ACK says besides.
  void whole_ack(Input& i) {
    Ack a{.largest = i.near(sent_ + 8)};
    for (uint64_t k = 0; k < 256; k += 8)
      a.bitmap[k / 64] |= uint64_t{i.byte()} << k % 64;
    for (uint64_t k = 0; k < 256; k++)
      if (k + 1 >= a.largest && i.byte() % 4 != 0) a.bitmap[k / 64] &= ~(uint64_t{1} << k % 64);
    a.delay = static_cast<uint32_t>(i.near(8));
    a.waited = static_cast<uint32_t>(i.near(8));
    a.allowed = static_cast<uint32_t>(i.near(8));
    a.marked = static_cast<uint32_t>(i.near(8));
    p.give_ack(a);
  }

  // To a PING that there was, so that the path is proven to carry its size; or to none.
  void pong(Input& i) {
    std::array<std::byte, kPingSize> body;
    write_ping(i.byte() % 8 == 0 ? i.near(8) : ping_token_, body);
    p.give(FrameType::kPong, body);
  }

  void publish(Input& i) {
    const Bytes bytes(uint64_t{i.byte()} * (i.byte() % 16));
    (void)lane.writer().send({.key = i.byte()}, bytes);
    p.link.wake(out.get());
  }

  void read(Input& i) {
    Message m;
    for (int n = i.byte() % 16; n > 0; n--) {
      const auto got = reader.next(m);
      if (got == LaneReader::Next::kMessage) read_bytes_ += m.len;
      if (got == LaneReader::Next::kGap) gaps_++;
      must(m.len <= kLane.arena_size());
    }
    reader.release();
  }

  void lanes(Input& i) {
    switch (i.byte() % 5) {
      case 0:
        (void)p.link.add_out(out.get());
        break;
      case 1:
        (void)p.link.add_in(in.get());
        break;
      case 2:
        (void)p.link.remove_out(1);
        break;
      case 3:
        (void)p.link.remove_in(1);
        break;
      default:
        feed.break_looks(i.byte() % 2 == 0);
    }
  }

  void transmit(Input& i) {
    for (const auto& f : p.take(i.byte() % 40)) {
      sent_ = f.hop.packet;
      if (f.hop.type == FrameType::kHello) hello_nonce_ = parse_hello(f.span())->nonce;
      if (f.hop.type == FrameType::kPing) ping_token_ = *parse_ping(f.span());
    }
  }

  ScriptedPeer p;
  TestLane lane, mirror;
  LaneFeed feed;
  LaneReader reader;
  std::unique_ptr<OutLane> out;
  std::unique_ptr<InLane> in;
  uint64_t sent_ = 0;
  uint64_t ping_token_ = 0;
  uint32_t hello_nonce_ = 0;
  uint64_t read_bytes_ = 0;
  uint64_t gaps_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Game game;
  while (input.more())
    game.play(input);
  game.check();
  return 0;
}
