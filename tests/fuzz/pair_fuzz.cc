// Two true links and a network between them that does what the input says: frames are lost, come
// again, late, out of order or damaged, large ones vanish, queues mark; time passes, programs
// publish and read, and what was published can no longer be read. Whatever happens, what comes out
// is what went in, in order and once; and when the network has become good again, the links find
// each other, and all of it comes.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "dataplane/link/link.h"
#include "tests/fuzz/input.h"
#include "tests/support/test_lane.h"

namespace {

using namespace penstock;
using test::Input;
using test::LaneFeed;
using test::must;
using test::TestLane;

using Bytes = std::vector<std::byte>;

constexpr LaneGeometry kLane{.ring_log2 = 5, .arena_log2 = 14, .topics = 1};
constexpr LaneGeometry kMirror{.ring_log2 = 3, .arena_log2 = 13, .topics = 1};
constexpr uint32_t kFrame = 1472;
constexpr uint64_t kUs = 1000;
constexpr uint64_t kSecond = 1'000'000 * kUs;
constexpr size_t kKept = 64;  // frames that may come once more

std::byte byte_of(uint64_t message, uint64_t i) {
  return static_cast<std::byte>(message * 131 + i);
}

struct Side {
  Side(const LinkConfig& c, uint64_t inflow_rate)
      : inflow(inflow_rate),
        link(c),
        lane(kLane),
        mirror(kMirror, 2),
        feed(lane),
        reader(mirror.read()),
        out(1, 1, kMirror, feed),
        in(1, 1, mirror.writer(), 1) {
    link.set_inflow(&inflow);
  }

  Inflow inflow;
  Link link;
  TestLane lane, mirror;
  LaneFeed feed;
  LaneReader reader;
  OutLane out;
  InLane in;
  std::deque<Bytes> sent;  // on their way to the other side
  std::vector<Bytes> old;  // that were sent before
  FrameNote note;
  uint64_t published = 0;
  uint64_t next = 0;  // message of the other side that comes next
  uint64_t gaps = 0;
};

class Game {
 public:
  explicit Game(Input& i) {
    LinkConfig c{.max_frame = kFrame};
    const uint8_t how = i.byte();
    c.window = std::array{1u, 4u, 32u, 256u}[how & 3];
    c.congestion = (how & 4) != 0;
    c.dead_after_ns = (how & 8) != 0 ? kSecond / 20 : 100 * kSecond;
    c.first_packet = (how & 16) != 0 ? (uint64_t{1} << 32) - 40 : 1;
    for (uint8_t s = 0; s < 2; s++) {
      c.self_id = s + 1u;
      c.peer_id = 2u - s;
      c.worker = s;
      c.seed = s;
      sides_[s] = std::make_unique<Side>(c, (how & 32) != 0 ? 1250 : 0);
      sides_[s]->link.start(now_);
    }
    if ((how & 64) == 0) calm(20);  // else the input has the handshake in its hands, too
  }

  void play(Input& i) {
    const uint8_t op = i.byte();
    Side& s = *sides_[op >> 7];
    switch (op & 15) {
      case 0:
        now_ += uint64_t{i.byte()} * kUs;
        break;
      case 1:
        now_ += uint64_t{1} << (i.byte() % 35);
        break;
      case 2:
      case 3:
        transmit(s, i.byte() % 33);
        break;
      case 4:
      case 5:
        for (int n = i.byte() % 16; n >= 0; n--)
          deliver(s, 0, true);
        break;
      case 6:
        deliver(s, i.byte(), true);
        break;
      case 7:
        deliver(s, i.byte(), false);
        break;
      case 8:
        if (!s.sent.empty())
          s.sent.erase(s.sent.begin() + i.byte() % static_cast<int>(s.sent.size()));
        break;
      case 9:
        damage(s, i);
        break;
      case 10:
        publish(s, i);
        break;
      case 11:
        read(s, i.byte() % 16);
        break;
      case 12:
        s.note = {.waited_ns = uint64_t{i.byte()} * kUs, .congested = i.byte() % 2 == 1};
        break;
      case 13:
        broken_ = i.byte() % 2 == 1;
        was_broken_ |= broken_;
        for (auto& side : sides_)
          side->feed.break_looks(broken_);
        break;
      case 14:
        largest_ = std::array{kFrame, 1200u, 1300u, 1400u}[i.byte() % 4];
        break;
      default:
        if (!s.old.empty()) hear(s, s.old[i.byte() % s.old.size()]);
    }
    events();
  }

  // Nothing happens any more but that all is delivered.
  void end() {
    largest_ = kFrame;
    for (auto& s : sides_) {
      s->feed.break_looks(false);
      s->note = {};
    }
    calm(20'000);
    for (auto& s : sides_) {
      must(was_broken_ || s->gaps == 0);
      must(s->out.stats().delivered.read() <= s->out.stats().sent.read());
    }
    must(up());
    must(over_ || done());
  }

 private:
  Side& other(const Side& s) { return *sides_[&s == sides_[0].get() ? 1 : 0]; }
  bool up() const { return sides_[0]->link.up() && sides_[1]->link.up(); }
  bool done() {
    return std::ranges::all_of(
        sides_, [this](const auto& s) { return other(*s).next == s->published && s->out.idle(); });
  }

  void calm(int turns) {
    for (int n = 0; n < turns && (n < 20 || !up() || !(over_ || done())); n++) {
      for (auto& s : sides_) {
        transmit(*s, 32);
        while (!s->sent.empty())
          deliver(*s, 0, true);
        events();
        read(*s, 100);
      }
      const uint64_t at =
          std::min(sides_[0]->link.next_deadline(), sides_[1]->link.next_deadline());
      now_ = std::max(now_ + kUs, std::min(at, now_ + kSecond));
    }
  }

  void transmit(Side& s, size_t room) {
    std::array<std::array<std::byte, kFrame>, 33> bytes;
    std::array<TxFrame, 33> frames;
    for (size_t i = 0; i < room; i++)
      frames[i] = {.data = bytes[i].data(), .room = kFrame};
    const size_t n = s.link.transmit(std::span(frames).first(room), now_);
    must(n <= room);
    for (const TxFrame& f : std::span(frames).first(n)) {
      Bytes b(f.data, f.data + f.len);
      b.insert(b.end(), f.payload, f.payload + f.payload_len);
      must(b.size() <= kFrame);
      if (s.old.size() < kKept) s.old.push_back(b);
      s.old[b.size() * 7 % s.old.size()] = b;
      if (b.size() <= largest_ && s.sent.size() < 1000) s.sent.push_back(std::move(b));
    }
  }

  Drop hear(Side& from, const Bytes& b) {
    Side& to = other(from);
    return to.link.on_frame(b.data(), static_cast<uint32_t>(b.size()), nullptr, 0, now_, to.note);
  }
  void deliver(Side& from, size_t which, bool gone) {
    if (from.sent.empty()) return;
    const auto at = from.sent.begin() + static_cast<ptrdiff_t>(which % from.sent.size());
    hear(from, *at);
    if (gone) from.sent.erase(at);
  }
  // One bit: the checksum sees each.
  void damage(Side& from, Input& i) {
    if (from.sent.empty()) return;
    Bytes b = from.sent.front();
    from.sent.pop_front();
    const size_t bit = (i.byte() * size_t{256} + i.byte()) % (b.size() * 8);
    b[bit / 8] ^= std::byte{1} << bit % 8;
    must(hear(from, b) != Drop::kNone);
  }

  void publish(Side& s, Input& i) {
    const uint64_t len = uint64_t{i.byte()} * (1 + i.byte() % 24);
    for (int n = i.byte() % 8; n >= 0; n--) {
      std::byte* to = s.lane.writer().loan(len);
      if (to == nullptr) break;
      for (uint64_t k = 0; k < len; k++)
        to[k] = byte_of(s.published, k);
      s.lane.writer().commit({.key = s.published + 1});
      s.published++;
    }
    s.link.wake(&s.out);
  }

  void read(Side& s, int most) {
    Message m;
    for (; most > 0; most--) {
      const auto got = s.reader.next(m);
      if (got == LaneReader::Next::kEmpty) break;
      must(m.position == s.next);
      s.next++;
      must(s.next <= other(s).published);
      if (got == LaneReader::Next::kGap) {
        s.gaps++;
        must(m.key == 1);
        continue;
      }
      must(m.source == m.position && m.key == m.position + 1);
      for (uint64_t k = 0; k < m.len; k++)
        must(m.data[k] == byte_of(m.position, k));
    }
    s.reader.release();
  }

  // Lanes live for the first session; behind it only the links go on.
  void events() {
    for (auto& s : sides_) {
      LinkEvent e;
      while (s->link.next_event(e)) {
        over_ |= e.kind == LinkEvent::kDown;
        if (e.kind != LinkEvent::kUp || over_) continue;
        must(s->link.add_out(&s->out) == Errc::kOk);
        must(s->link.add_in(&s->in) == Errc::kOk);
      }
    }
  }

  std::array<std::unique_ptr<Side>, 2> sides_;
  uint64_t now_ = kSecond;
  uint32_t largest_ = kFrame;
  bool broken_ = false;
  bool was_broken_ = false;
  bool over_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Game game(input);
  while (input.more())
    game.play(input);
  game.end();
  return 0;
}
