// A process at the other end that writes nonsense into every word it can write. Guard pages stand
// around all memory, so reading or writing outside of it would be a crash.
#include <array>
#include <set>

#include "tests/dataplane/lane/test_lane.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;

constexpr LaneGeometry kSmall{.ring_log2 = 3, .arena_log2 = 12, .topics = 4};

// A value that is likely to hurt.
uint64_t nasty(Dice& dice, uint64_t near) {
  switch (dice.below(6)) {
    case 0:
      return 0;
    case 1:
      return ~uint64_t{0} - dice.below(3);
    case 2:
      return near + dice.below(20) - 10;
    case 3:
      return uint64_t{1} << dice.below(64);
    case 4:
      return dice.below(10'000);
    default:
      return dice.next();
  }
}

uint64_t touch(std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (const std::byte b : bytes)
    sum += static_cast<uint64_t>(b);
  return sum;
}

// Uses everything that a reader offers; returns whether next() made progress.
Next use(LaneReader& r, std::span<std::byte> room) {
  Message m;
  std::array<char, kMaxTopicName> name;
  const uint64_t before = r.position();
  const Next n = r.next(m);
  if (n == Next::kEmpty) {
    EXPECT_EQ(r.position(), before);
  } else {
    EXPECT_NE(r.position(), before);
  }
  if (n == Next::kMessage) {
    EXPECT_LE(m.len, kSmall.arena_size());
    EXPECT_LT(m.topic, kSmall.topics);
    touch({m.data, static_cast<size_t>(m.len)});
    for (uint32_t i = 0; i < 5; i++)
      touch(part(m, i));
    r.copy(m, room.data());
  }
  if (r.look(before, m)) touch({m.data, static_cast<size_t>(m.len)});
  r.topic_name(m.topic, name);
  r.topic_name(static_cast<uint32_t>(before), name);
  r.lag();
  r.finished();
  r.evicted();
  return n;
}

TEST(LaneHostile, APublisherThatScribblesMakesNobodyReadOutside) {
  std::vector<std::byte> room(kSmall.arena_size());
  for (uint64_t seed = 1; seed <= 300; seed++) {
    Dice dice(seed);
    TestLane t(kSmall);
    LaneReader reliable = t.join();
    LaneReader lossy = t.join(true);
    auto* words = reinterpret_cast<SharedWord*>(t.lane.data());
    const uint64_t count = kSmall.arena_at() / 8 + 64;
    for (int i = 0; i < 2000; i++) {
      const uint64_t at = reliable.position();
      if (dice.one_in(4)) t.send_bytes(dice.below(600));
      Descriptor& d = t.descriptor(at + dice.below(3));
      switch (dice.below(8)) {
        case 0:
          words[dice.below(count)].store(nasty(dice, at));
          break;
        case 1:
          d.stamp.store(dice.one_in(2) ? at + 1 : nasty(dice, at));
          break;
        case 2:
          d.shape.set(nasty(dice, 4096));
          break;
        case 3:
          d.arena_pos.set(nasty(dice, t.writer->fill()));
          break;
        case 4:
          d.shape.set(pack_shape(dice.below(5000), static_cast<uint32_t>(dice.below(6)),
                                 dice.one_in(2) ? kFlagExtra : 0));
          break;
        case 5:
          d.shape.set(pack_shape(dice.below(5000), 0, static_cast<uint32_t>(dice.below(256))));
          t.extra(at + dice.below(3)).parts.set(nasty(dice, 2));
          break;
        case 6:
          t.header->head.store(nasty(dice, at));
          break;
        default:
          t.header->reserved.store(nasty(dice, t.writer->fill()));
      }
      use(reliable, room);
      if (use(lossy, room) == Next::kMessage) lossy.release();
      if (dice.one_in(5)) reliable.release();
      if (dice.one_in(500)) t.desk.close(CloseReason::kPublisherDied);
    }
  }
}

// Whatever a dead publisher left behind, a reader that goes on until finished() ends.
TEST(LaneHostile, AClosedLaneComesToAnEnd) {
  std::vector<std::byte> room(kSmall.arena_size());
  for (uint64_t seed = 1; seed <= 2000; seed++) {
    Dice dice(seed);
    TestLane t(kSmall);
    LaneReader r = t.join(dice.one_in(2));
    for (uint64_t i = 0; i < kSmall.ring_size(); i++)
      t.descriptor(i).stamp.store(nasty(dice, i + 1));
    t.header->head.store(nasty(dice, 8));
    t.desk.close(CloseReason::kPublisherDied);
    int turns = 0;
    while (!r.finished() && turns < 1000) {
      const bool empty = use(r, room) == Next::kEmpty;
      ASSERT_TRUE(!empty || r.finished()) << seed;
      turns++;
    }
    ASSERT_LT(turns, 1000) << seed;
  }
}

// The reader's words are all that the writer believes in.
TEST(LaneHostile, AReaderThatScribblesHurtsNobodyElse) {
  for (uint64_t seed = 1; seed <= 300; seed++) {
    Dice dice(seed);
    TestLane t(kSmall);
    const Fd event(*make_event());
    LaneReader honest = t.join();
    LaneReader liar = t.join(false, {.event_fd = event.get()});
    uint64_t sent = 0;
    uint64_t got = 0;
    for (int i = 0; i < 3000; i++) {
      ReaderSlot& slot = *liar.join().slot;
      switch (dice.below(6)) {
        case 0:
          slot.position.store(nasty(dice, sent));
          break;
        case 1:
          slot.armed.store(nasty(dice, sent));
          break;
        case 2:
          slot.generation.store(dice.one_in(2) ? liar.join().generation
                                               : nasty(dice, liar.join().generation));
          break;
        default:
          break;
      }
      for (uint64_t k = dice.below(5); k > 0; k--)
        if (t.send(sent) == Errc::kOk) sent++;
      ASSERT_LE(sent - honest.released(), kSmall.ring_size());
      Message m;
      for (uint64_t k = dice.below(5); k > 0 && honest.next(m) == Next::kMessage; k--)
        ASSERT_EQ(value_of(m), got++) << seed;
      if (dice.one_in(2)) honest.release();
    }
    t.desk.evict(liar.join().index);
    Message m;
    for (int i = 0; i < 100; i++) {
      if (t.send(sent) == Errc::kOk) sent++;
      while (honest.next(m) == Next::kMessage)
        ASSERT_EQ(value_of(m), got++) << seed;
      honest.release();
    }
    ASSERT_EQ(got, sent) << "a liar was evicted and still held the others";
  }
}

}  // namespace
}  // namespace penstock
