// Random operations against a model of a lane that is too simple to be wrong: a list of what was
// published and, per reader, how far it is. Everything must be as the model says, room included.
#include <algorithm>
#include <array>
#include <deque>
#include <memory>

#include "dataplane/base/drop.h"
#include "dataplane/base/fd.h"
#include "tests/dataplane/lane/test_lane.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;

constexpr uint64_t kSeeds = 400;
constexpr int kOperations = 2000;
constexpr size_t kReaders = 6;

struct Published {
  uint64_t start;  // in the arena
  uint64_t len;
  uint32_t topic;
  uint16_t parts;
};

// The bytes of the message at a position: different everywhere.
std::byte byte_of(uint64_t position, uint64_t i) {
  return static_cast<std::byte>((position * 0x9e3779b97f4a7c15 + i * 0xbf58476d1ce4e5b9) >> 32);
}

class Game {
 public:
  explicit Game(uint64_t seed)
      : dice_(seed),
        t_({.ring_log2 = static_cast<uint32_t>(2 + dice_.below(5)),
            .arena_log2 = static_cast<uint32_t>(12 + dice_.below(3)),
            .topics = static_cast<uint32_t>(1 + dice_.below(4))}) {
    for (uint32_t i = 1; i < t_.geometry.topics; i++)
      EXPECT_TRUE(t_.writer->add_topic("t").ok());
  }

  void operation() {
    const uint64_t what = dice_.below(100);
    if (what < 40) return publish();
    if (what < 80) return read();
    if (what < 88) return release();
    if (what < 92) return join();
    if (what < 94) return leave();
    if (what < 95) return evict();
    if (what < 97) return arm();
    if (what < 98) return attach();
    if (what < 99) return loan_and_forget();
    take_over();
  }

  // Nothing is left over and nothing was made up.
  void finish() {
    for (auto& s : seats_) {
      if (!s) continue;
      while (t_.writer->head() > s->reader->position())
        take(*s);
      EXPECT_EQ(s->reader->lag(), 0u);
      EXPECT_EQ(s->delivered + s->missed, t_.writer->head() - s->start);
      EXPECT_TRUE(s->lossy || s->evicted || s->missed == 0);
      EXPECT_EQ(s->missed, s->join.slot->overrun.load());
    }
    EXPECT_EQ(t_.writer->lies(), 0u);
  }

 private:
  struct Seat {
    LaneReader::Join join;
    std::unique_ptr<LaneReader> reader;
    Fd event;
    uint64_t start = 0;
    uint64_t released = 0;
    uint64_t delivered = 0;
    uint64_t missed = 0;
    uint64_t events = 0;  // that must have come
    bool lossy = false;
    bool evicted = false;
    bool attached = false;
    bool armed = false;
  };

  uint64_t size() {
    const uint64_t most = t_.geometry.arena_size();
    if (dice_.one_in(20)) return dice_.below(most + 200);
    if (dice_.one_in(4)) return dice_.below(most / 4);
    return dice_.below(200);
  }

  uint64_t tail() const {
    uint64_t t = all_.size();
    for (const auto& s : seats_)
      if (s && !s->lossy && !s->evicted) t = std::min(t, s->attached ? s->released : s->start);
    return t;
  }
  bool room(uint64_t len) const {
    const uint64_t size = t_.geometry.arena_size();
    const uint64_t t = tail();
    const uint64_t arena = t < all_.size() ? all_[t].start : fill_;
    return len <= size && all_.size() < t + t_.geometry.ring_size() &&
           (len == 0 || t == all_.size() ||
            arena_next(arena_place(fill_, len, size), len) <= arena + size);
  }

  void publish() {
    const auto topic = static_cast<uint32_t>(dice_.below(t_.geometry.topics));
    const uint64_t position = all_.size();
    if (dice_.one_in(5)) return publish_parts(topic);
    const uint64_t len = size();
    std::byte* to = t_.writer->loan(len);
    ASSERT_EQ(to != nullptr, room(len)) << len;
    if (to == nullptr) return;
    const uint64_t used = dice_.one_in(3) ? dice_.below(len + 1) : len;
    for (uint64_t i = 0; i < used; i++)
      to[i] = byte_of(position, i);
    const uint64_t key = position % 3 == 0 ? 0 : position;
    ASSERT_EQ(t_.writer->commit({.topic = topic, .time_ns = position, .key = key}, used), position);
    note(len, used, topic, 1);
  }

  // Nothing comes of it, but that the next one starts behind the wrap, too.
  void loan_and_forget() {
    const uint64_t len = size();
    ASSERT_EQ(t_.writer->loan(len) != nullptr, room(len));
    if (room(len)) fill_ = arena_place(fill_, len, t_.geometry.arena_size());
  }

  void publish_parts(uint32_t topic) {
    const uint64_t position = all_.size();
    std::vector<std::vector<std::byte>> bytes(2 + dice_.below(5));
    std::vector<std::span<const std::byte>> parts;
    for (uint64_t k = 0; k < bytes.size(); k++) {
      bytes[k].resize(dice_.below(100));
      for (uint64_t i = 0; i < bytes[k].size(); i++)
        bytes[k][i] = byte_of(position + k, i);
      parts.emplace_back(bytes[k]);
    }
    const uint64_t len = parts_bytes(parts);
    const bool fits = room(len);
    const Errc e = t_.writer->send_parts({.topic = topic, .time_ns = position}, parts);
    ASSERT_EQ(e, fits ? Errc::kOk : Errc::kWouldBlock);
    if (fits) note(len, len, topic, static_cast<uint16_t>(bytes.size()));
  }

  void note(uint64_t loaned, uint64_t used, uint32_t topic, uint16_t parts) {
    const uint64_t start = arena_place(fill_, loaned, t_.geometry.arena_size());
    all_.push_back({start, used, topic, parts});
    fill_ = arena_next(start, loaned);
    for (auto& s : seats_) {
      if (!s || !s->armed || !s->attached || s->evicted) continue;
      s->events++;
      s->armed = false;  // one event for each time it arms
    }
    for (auto& s : seats_)
      if (s) check_events(*s);
  }

  void check_events(Seat& s) {
    uint64_t n = 0;
    if (::read(s.event.get(), &n, sizeof n) != sizeof n) n = 0;
    ASSERT_EQ(n, s.events);
    s.events = 0;
  }

  Seat* any() {
    auto& s = seats_[dice_.below(kReaders)];
    return s ? s.get() : nullptr;
  }

  void read() {
    Seat* s = any();
    if (s == nullptr) return;
    s->reader->disarm();
    s->armed = false;
    for (uint64_t n = 1 + dice_.below(8); n > 0; n--)
      take(*s);
  }

  void take(Seat& s) {
    Message m;
    const uint64_t at = s.reader->position();
    const bool may_miss = s.lossy || s.evicted;
    switch (s.reader->next(m)) {
      case Next::kEmpty:
        ASSERT_EQ(at, all_.size());
        break;
      case Next::kGap:
        ASSERT_TRUE(may_miss);
        ASSERT_GT(all_.size() - at, t_.geometry.ring_size());
        ASSERT_EQ(m.position, at);
        ASSERT_EQ(s.reader->position(), at + m.key);
        ASSERT_EQ(m.parts, static_cast<uint16_t>(s.evicted ? Drop::kEvicted : Drop::kOverrun));
        s.missed += m.key;
        break;
      case Next::kMessage:
        ASSERT_LE(all_.size() - at, t_.geometry.ring_size());
        message(s, m, at);
        break;
    }
  }

  void message(Seat& s, Message m, uint64_t at) {
    const Published& p = all_[at];
    ASSERT_EQ(m.position, at);
    ASSERT_EQ(m.time_ns, at);
    ASSERT_EQ(m.key, p.parts > 1 || at % 3 == 0 ? 0 : at);
    ASSERT_EQ(m.source, at);
    ASSERT_EQ(m.origin, TestLane::kLaneId);
    ASSERT_EQ(m.len, p.len);
    ASSERT_EQ(m.topic, p.topic);
    ASSERT_EQ(m.parts, p.parts);
    ASSERT_EQ(m.arena_pos, p.start);
    std::vector<std::byte> copy(m.len);
    if (s.lossy || s.evicted) {
      const uint64_t behind = fill_ - p.start;
      const uint64_t size = t_.geometry.arena_size();
      if (!s.reader->copy(m, copy.data())) {
        ASSERT_GT(reach(), p.start + size - size / 16) << "refused although it was whole";
        s.missed++;
        return;
      }
      ASSERT_LE(behind, size) << "taken although it was overwritten";
      m.data = copy.data();
    }
    s.delivered++;
    for (uint64_t i = 0; p.parts == 1 && i < m.len; i++)
      ASSERT_EQ(m.data[i], byte_of(at, i));
    for (uint16_t k = 0; p.parts > 1 && k < p.parts; k++) {
      const auto bytes = part(m, k);
      for (uint64_t i = 0; i < bytes.size(); i++)
        ASSERT_EQ(bytes[i], byte_of(at + k, i));
    }
  }

  // How far the writer may have told readers that it will overwrite: loans count, too.
  uint64_t reach() const { return t_.header->reserved.load(); }

  void release() {
    Seat* s = any();
    if (s == nullptr) return;
    s->released += dice_.below(s->reader->position() - s->released + 1);
    s->reader->release_to(s->released);
  }

  void join() {
    auto& s = seats_[dice_.below(kReaders)];
    if (s) return;
    s = std::make_unique<Seat>();
    s->lossy = dice_.one_in(3);
    s->join = t_.join_only(s->lossy);
    s->start = s->released = s->join.start;
    ASSERT_EQ(s->start, all_.size());
    s->event = Fd(*make_event());
    if (dice_.one_in(2)) attach(*s);
    s->reader = std::make_unique<LaneReader>(s->join);
    if (dice_.one_in(2)) attach(*s);
  }

  void attach() {
    Seat* s = any();
    if (s != nullptr && !s->attached) attach(*s);
  }
  void attach(Seat& s) {
    if (s.attached) return;
    t_.writer->attach_reader(s.join.index, s.join.generation, s.join.slot,
                             {.event_fd = s.event.get()});
    s.attached = true;
    if (s.armed && !s.evicted) {  // whatever was published before it could be woken
      s.events++;
      s.armed = false;
    }
  }

  void leave() {
    auto& s = seats_[dice_.below(kReaders)];
    if (!s) return;
    ASSERT_EQ(s->delivered + s->missed, s->reader->position() - s->start);
    s->reader->disarm();
    t_.desk.leave(s->join.index);
    if (dice_.one_in(2)) t_.writer->has_readers();
    t_.writer->detach_reader(s->join.index);
    s.reset();
  }

  void evict() {
    Seat* s = any();
    if (s == nullptr) return;
    t_.desk.evict(s->join.index);
    s->evicted = true;
    t_.writer->refresh();
  }

  void arm() {
    Seat* s = any();
    if (s == nullptr || s->reader->armed()) return;
    s->reader->arm();
    s->armed = true;
  }

  // The publisher starts anew on the same lane.
  void take_over() {
    if (!dice_.one_in(10)) return;
    t_.writer = std::make_unique<LaneWriter>(t_.lane.data(), t_.geometry, t_.page);
    fill_ = t_.writer->fill();
    ASSERT_EQ(t_.writer->head(), all_.size());
    for (auto& s : seats_) {
      if (!s || !s->attached) continue;
      s->attached = false;
      attach(*s);
    }
    // Who cannot be seen yet holds the writer at its start, however far it is: let it be seen.
    for (auto& s : seats_)
      if (s) attach(*s);
    for (auto& s : seats_)
      if (s) drain_event(*s);
  }

  void drain_event(Seat& s) {
    uint64_t n = 0;
    [[maybe_unused]] const ssize_t got = ::read(s.event.get(), &n, sizeof n);
    s.events = 0;
  }

  Dice dice_;
  TestLane t_;
  std::vector<Published> all_;
  uint64_t fill_ = 0;
  std::array<std::unique_ptr<Seat>, kReaders> seats_;
};

TEST(LaneProperty, IsAsTheModelSays) {
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Game game(seed);
    for (int i = 0; i < kOperations && !testing::Test::HasFailure(); i++)
      game.operation();
    game.finish();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace penstock
