// One writer, and readers that join and leave all the time, on a lane so small that everything
// wraps every few messages. A reliable reader sees every message from its start on, without a gap;
// what a lossy one saw and what it was told that it missed add up.
#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <mutex>
#include <sched.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/stop_flag.h"
#include "tests/dataplane/lane/test_lane.h"
#include "tests/stress/pattern.h"
#include "tests/stress/pin.h"
#include "tests/stress/shared_lane.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;
using std::chrono::steady_clock;

constexpr uint64_t kMost = 1500;  // bytes of a message
constexpr auto kFor = std::chrono::seconds(2);

class Floor {
 public:
  explicit Floor(const LaneGeometry& g) : lane_(g) {}

  void write() {
    Dice dice(1);
    LaneWriter& w = *lane_.writer;
    while (!stop_.is_set()) {
      if (dice.one_in(8)) obey();
      const uint64_t len = pattern_size(w.head(), kMost);
      std::byte* to = w.loan(len);
      if (to == nullptr) {
        obey();
        sched_yield();
        continue;
      }
      pattern_write(to, len, w.head());
      w.commit({});
      published_.add(1);
    }
  }

  // What a client of its own would do, again and again, with slot `me` of the position table.
  void read(uint32_t me) {
    Dice dice(1000 + me);
    std::vector<std::byte> room(kMost);
    while (!stop_.is_set()) {
      const bool lossy = dice.one_in(3);
      LaneReader r = join(me, lossy);
      uint64_t delivered = 0;
      uint64_t missed = 0;
      for (uint64_t left = dice.below(400); left > 0 && !stop_.is_set(); left--) {
        Message m;
        const uint64_t at = r.position();
        switch (r.next(m)) {
          case Next::kEmpty:
            r.release();
            sched_yield();
            continue;
          case Next::kGap:
            if (!lossy) fail_.set();
            missed += m.key;
            continue;
          case Next::kMessage:
            break;
        }
        if (m.position != at) fail_.set();
        if (lossy && !r.copy(m, room.data())) {
          missed++;
          continue;
        }
        const std::byte* bytes = lossy ? room.data() : m.data;
        if (!pattern_whole({bytes, static_cast<size_t>(m.len)}, at, kMost)) fail_.set();
        delivered++;
        if (dice.one_in(4)) r.release();
      }
      if (delivered + missed != r.position() - r.join().start) fail_.set();
      delivered_[me].add(delivered);
      missed_[me].add(missed);
      joins_[me].add(1);
      leave(r);
    }
  }

  void run(uint32_t readers) {
    std::vector<std::thread> threads;
    threads.emplace_back([this] { write(); });
    for (uint32_t i = 0; i < readers; i++)
      threads.emplace_back([this, i] { read(i); });
    const auto end = steady_clock::now() + kFor;
    while (steady_clock::now() < end && !fail_.is_set())
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop_.set();
    for (auto& t : threads)
      t.join();
    EXPECT_FALSE(fail_.is_set()) << "a gap, a partial message or a miscount";
    uint64_t joins = 0;
    for (uint32_t i = 0; i < readers; i++) {
      joins += joins_[i].read();
      EXPECT_GT(delivered_[i].read(), 0u);
    }
    EXPECT_GT(joins, 100u);
    EXPECT_EQ(lane_.writer->lies(), 0u);
    testing::Test::RecordProperty("published", std::to_string(published_.read()));
    testing::Test::RecordProperty("joins", std::to_string(joins));
  }

 private:
  struct Order {
    LaneReader::Join join;
    bool attach;
  };

  LaneReader join(uint32_t me, bool lossy) {
    const std::lock_guard lock(desk_);
    LaneReader::Join j = lane_.join_only(lossy);
    j.slot = &lane_.table->slots[me];
    orders_.push_back({j, true});
    return LaneReader(j);
  }

  void leave(const LaneReader& r) {
    const std::lock_guard lock(desk_);
    lane_.desk.leave(r.join().index);
    orders_.push_back({r.join(), false});
  }

  // The publisher's side of joining and leaving, late as it may be.
  void obey() {
    const std::lock_guard lock(desk_);
    for (const Order& o : orders_) {
      if (o.attach) {
        lane_.writer->attach_reader(o.join.index, o.join.generation, o.join.slot, {});
      } else {
        lane_.writer->detach_reader(o.join.index);
      }
    }
    orders_.clear();
  }

  TestLane lane_;
  std::mutex desk_;
  std::vector<Order> orders_;
  StopFlag stop_;
  StopFlag fail_;
  Counter published_;
  struct alignas(kPair) Count : Counter {};
  Count delivered_[8];
  Count missed_[8];
  Count joins_[8];
};

TEST(LaneStress, ReadersComeAndGoWhileFourMessagesFit) {
  Floor(kTiny).run(4);
}

TEST(LaneStress, ReadersComeAndGoWhileTheArenaIsTheLimit) {
  Floor({.ring_log2 = 8, .arena_log2 = 12, .topics = 1}).run(4);
}

TEST(LaneStress, ReadersComeAndGoWhileThereIsRoom) {
  Floor({.ring_log2 = 8, .arena_log2 = 16, .topics = 1}).run(3);
}

// The writer looks at the node page about every fourth message and never knows the reader's slot; a
// look that missed the join must not let it overwrite what the reader was promised.
void join_while_published(SharedLane& lane) {
  const Pin pin(0);
  Dice dice(1);
  uint64_t gaps = 0;
  uint64_t joins = 0;
  const auto wait_a_moment = [&dice] {
    for (uint64_t spin = dice.below(500); spin > 0; spin--)
      __asm__ __volatile__("");
  };
  const auto end = steady_clock::now() + kFor;
  while (steady_clock::now() < end && gaps == 0) {
    const LaneReader::Join j = lane.join_only();
    wait_a_moment();
    LaneReader r(j);
    Message m;
    for (uint64_t want = j.start; want < j.start + 3 && gaps == 0;) {
      const Next n = r.next(m);
      if (n == Next::kGap || (n == Next::kMessage && value_of(m) != want++)) gaps++;
    }
    lane.desk.leave(j.index);
    wait_a_moment();
    joins++;
  }
  EXPECT_EQ(gaps, 0u) << "after " << joins << " joins";
  EXPECT_GT(joins, 100u);
}

void publish_until(SharedLane& lane, const StopFlag& stop) {
  const Pin pin(1);
  LaneWriter w(lane.memory, lane.geometry, lane.page);
  for (uint64_t n = w.head(); !stop.is_set();)
    if (w.send({}, std::as_bytes(std::span(&n, 1))) == Errc::kOk) n++;
}

TEST(LaneStress, WhatIsPublishedWhileAReaderJoinsIsKept) {
  SharedLane lane;
  StopFlag stop;
  std::thread writer([&] { publish_until(lane, stop); });
  join_while_published(lane);
  stop.set();
  writer.join();
}

// A publisher that has just started, for which no fence of another process may be relied upon.
TEST(LaneStress, WhatAnotherProcessPublishesWhileAReaderJoinsIsKept) {
  SharedLane lane;
  const pid_t writer = fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) publish_until(lane, {});
  join_while_published(lane);
  kill(writer, SIGKILL);
  waitpid(writer, nullptr, 0);
}

}  // namespace
}  // namespace penstock
