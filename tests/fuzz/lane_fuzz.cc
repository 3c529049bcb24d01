// A lane of which one party lies. The input says who: its publisher, who writes anything into the
// memory that readers map; or a reader, who writes anything into its own words, which the writer
// reads. Readers stay inside of the memory, and come to an end; an honest reader beside a lying one
// gets everything, in order.
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tests/fuzz/input.h"
#include "tests/support/test_lane.h"

namespace {

using namespace penstock;
using test::Input;
using test::must;
using test::TestLane;
using Next = LaneReader::Next;

constexpr LaneGeometry kLane{.ring_log2 = 2, .arena_log2 = 12, .topics = 3};

class Game {
 public:
  explicit Game(Input& i)
      : publisher_lies_(i.byte() % 2 == 0),
        lane_(kLane, 1, start(i), i.byte() % 2 == 0 ? 0 : (uint64_t{1} << 40) - 64),
        reliable_(lane_.read()),
        lossy_(lane_.read(true)),
        liar_(lane_.read()),
        next_(reliable_.position()) {}

  void play(Input& i) {
    switch (i.byte() % 8) {
      case 0:
      case 1:
        publish(i);
        break;
      case 2:
      case 3:
        use(reliable_, i);
        break;
      case 4:
        use(lossy_, i);
        break;
      case 5:
        reliable_.release();
        lossy_.release();
        if (!publisher_lies_) break;
        liar_.release();
        break;
      default:
        publisher_lies_ ? scribble(i) : lie(i);
    }
    if (!publisher_lies_) must(lane_.writer().head() - reliable_.released() <= kLane.ring_size());
  }

  // The lane is closed: whoever goes on reading comes to an end, and the node can evict a liar.
  void end() {
    if (!publisher_lies_) {
      lane_.desk().evict(liar_.join().index);
      Message m;
      while (next(reliable_, m) == Next::kMessage) {
      }
      must(next_ == lane_.writer().head());
      reliable_.release();
      const std::byte b = mark(next_);
      must(lane_.writer().send({}, {&b, 1}) == Errc::kOk);
      must(next(reliable_, m) == Next::kMessage);
    }
    lane_.desk().close(CloseReason::kPublisherDied);
    for (LaneReader* r : {&reliable_, &lossy_}) {
      Message m;
      int turns = 0;
      for (; turns < 100 && !r->finished(); turns++)
        must(next(*r, m) != Next::kEmpty || r->finished());
      must(turns < 100);
    }
  }

 private:
  static uint64_t start(Input& i) {
    constexpr std::array<uint64_t, 4> kStarts = {0, 3, (uint64_t{1} << 32) - 3,
                                                 kMaxPosition - 1000};
    return kStarts[i.byte() % 4];
  }

  void publish(Input& i) {
    const uint64_t len = uint64_t{i.byte()} * (1 + i.byte() % 20);
    std::byte* to = lane_.writer().loan(len);
    if (to == nullptr) return;
    must(inside(to, len));
    std::fill_n(to, len, mark(lane_.writer().head()));
    Meta meta{.topic = 0, .key = i.byte() % 4u};
    lane_.writer().commit(meta);
  }

  Next next(LaneReader& r, Message& m) {
    const uint64_t before = r.position();
    const Next n = r.next(m);
    must((n == Next::kEmpty) == (r.position() == before));
    if (n == Next::kMessage) {
      must(m.len <= kLane.arena_size() && inside(m.data, m.len) && m.topic < kLane.topics);
      if (!publisher_lies_ && &r == &reliable_) {
        must(m.position == next_++);
        for (uint64_t k = 0; k < m.len; k++)
          must(m.data[k] == mark(m.position));
      }
    }
    if (!publisher_lies_ && &r == &reliable_) must(n != Next::kGap);
    return n;
  }

  void use(LaneReader& r, Input& i) {
    Message m;
    std::array<char, kMaxTopicName> name;
    std::array<std::byte, kLane.arena_size()> room;
    const uint64_t before = r.position();
    if (next(r, m) == Next::kMessage) {
      for (uint32_t k = 0; k < 5; k++)
        must(inside(part(m, k).data(), part(m, k).size()));
      if (r.join().lossy) (void)r.copy(m, room.data());
    }
    const uint64_t at = i.near(before);
    if (r.look(at, m)) must(inside(m.data, m.len) && m.position == at);
    must(r.topic_name(static_cast<uint32_t>(i.near(0)), name).size() <= kMaxTopicName);
    LaneReader::Plain p{};
    if (publisher_lies_ && i.byte() % 4 == 0 && r.next_plain(i.byte() % 4, p))
      must(inside(p.data, p.len));
    (void)r.lag();
    (void)r.vacant();
    (void)r.ready();
  }

  // A word of the lane's memory: of the header, a descriptor, an extra, or anywhere.
  void scribble(Input& i) {
    auto* base = const_cast<std::byte*>(lane_.region().base);
    const uint64_t at = reliable_.position();
    auto& header = *reinterpret_cast<LaneHeader*>(base);
    const uint64_t slot = (at + i.byte() % 3) & (kLane.ring_size() - 1);
    auto& d = reinterpret_cast<Descriptor*>(base + kLane.ring_at())[slot];
    auto& e = reinterpret_cast<Extra*>(base + kLane.extras_at())[slot];
    switch (i.byte() % 8) {
      case 0:
        header.head.store(i.near(at + 8));
        break;
      case 1:
        header.reserved.store(i.near(lane_.writer().fill()));
        break;
      case 2:
        d.stamp.store(i.near(at + 8));
        break;
      case 3:
        d.arena_pos.set(i.near(4096 + 8));
        break;
      case 4:
        d.shape.set(pack_shape(i.near(4096), i.byte() % 4u, i.byte()));
        break;
      case 5:
        e.parts.set(i.near(8));
        break;
      case 6:
        reinterpret_cast<Topic*>(base + kLane.topics_at())[i.byte() % 3].len.store(i.near(255));
        break;
      default:
        reinterpret_cast<SharedWord*>(base)[i.near(8) % (kLane.total_bytes() / 8)].store(i.near(0));
    }
  }

  void lie(Input& i) {
    ReaderSlot& slot = *liar_.join().slot;
    switch (i.byte() % 3) {
      case 0:
        slot.position.store(i.near(lane_.writer().head()));
        break;
      case 1:
        slot.generation.store(i.near(liar_.join().generation + 8));
        break;
      default:
        slot.armed.store(i.near(8));
    }
  }

  bool inside(const std::byte* at, uint64_t n) {
    const std::byte* base = lane_.region().base + kLane.arena_at();
    return n == 0 || (at >= base && at + n <= base + kLane.arena_size());
  }
  static std::byte mark(uint64_t position) { return static_cast<std::byte>(position * 37 + 1); }

  bool publisher_lies_;
  TestLane lane_;
  LaneReader reliable_, lossy_, liar_;
  uint64_t next_;
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
