// What the tests of a worker share: a task that counts its turns, and a lane read by it whose
// publisher rings a bell.
#pragma once

#include <cstdint>
#include <memory>

#include "dataplane/lane_task.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

inline constexpr LaneGeometry kTestedLane{.ring_log2 = 6, .arena_log2 = 16, .topics = 4};

// Reads and lets go of all there is, up to `burst` a turn.
class CountingTask final : public LaneTask {
 public:
  explicit CountingTask(const LaneReader::Join& join) : LaneTask(join) {}

  uint32_t poll(uint64_t /*now*/) override {
    polls++;
    uint32_t n = 0;
    Message m;
    while (n < burst && !stuck && reader_.next(m) == LaneReader::Next::kMessage)
      n++;
    if (n != 0) reader_.release();
    taken += n;
    return n;
  }
  bool quiet() const override { return !stuck && !reader_.ready(); }

  uint32_t burst = 32;
  bool stuck = false;  // waits for room at somebody else's
  uint32_t polls = 0;
  uint64_t taken = 0;
};

// The bells of one client, as a worker that never sleeps has them.
struct Bells {
  std::unique_ptr<BellPage> page = std::make_unique<BellPage>();
  SharedWord awake;

  Wake wake(uint32_t worker, uint32_t slot) {
    return {.event_fd = -1,
            .bell = &page->worker[worker].bits[slot / 64],
            .bell_bit = uint64_t{1} << (slot % 64),
            .sleeper = &awake};
  }
};

// A lane, and a task that reads it on `worker`.
struct TaskedLane {
  TaskedLane() : task(lane.read().join()) {}
  TaskedLane(Bells& bells, uint32_t worker, uint32_t slot) : TaskedLane() {
    const LaneReader::Join& j = task.reader().join();
    lane.writer().attach_reader(j.index, j.generation, j.slot, bells.wake(worker, slot));
    task.bells = bells.page.get();
    task.bell_slot = slot;
  }
  void publish(uint32_t messages = 1) {
    const uint64_t value = 7;
    for (uint32_t i = 0; i < messages; i++)
      (void)lane.writer().send({}, std::as_bytes(std::span(&value, 1)));
  }

  TestLane lane{kTestedLane};
  CountingTask task;
};

}  // namespace penstock::test
