// The turns of a worker, one by one, without a thread.
#include "dataplane/worker.h"

#include <array>
#include <gtest/gtest.h>
#include <vector>

#include "tests/dataplane/worker/tested_task.h"

namespace penstock {
namespace {

using test::Bells;
using test::TaskedLane;

// Notes the times at which it ran.
class NotedCommand final : public Command {
 public:
  void run(Worker&, uint64_t now) override { ran.push_back(now); }
  std::vector<uint64_t> ran;
};

TEST(Worker, RunsOneCommandATurnInTheirOrder) {
  Worker worker({});
  NotedCommand first;
  NotedCommand second;
  ASSERT_TRUE(worker.post(&first));
  ASSERT_TRUE(worker.post(&second));
  EXPECT_EQ(worker.turn(10), 1u);
  EXPECT_EQ(worker.turn(11), 1u);
  EXPECT_EQ(worker.turn(12), 0u);
  EXPECT_EQ(first.ran, std::vector<uint64_t>{10});
  EXPECT_EQ(second.ran, std::vector<uint64_t>{11});
  EXPECT_EQ(worker.take_done(), &first);
  EXPECT_EQ(worker.take_done(), &second);
  EXPECT_EQ(worker.take_done(), nullptr);
}

TEST(Worker, TakesNoMoreCommandsThanItHasRoomFor) {
  Worker worker({});
  NotedCommand c;
  size_t taken = 0;
  while (taken < 5000 && worker.post(&c))
    taken++;
  ASSERT_LT(taken, 5000u);
  worker.turn(1);
  EXPECT_EQ(worker.take_done(), &c);
  EXPECT_TRUE(worker.post(&c));
  EXPECT_FALSE(worker.post(&c));
}

TEST(Worker, GivesBackWhatItWillNotRun) {
  Worker worker({});
  NotedCommand c;
  ASSERT_TRUE(worker.post(&c));
  EXPECT_EQ(worker.take_unrun(), &c);
  EXPECT_EQ(worker.take_unrun(), nullptr);
  EXPECT_EQ(worker.turn(1), 0u);
  EXPECT_TRUE(c.ran.empty());
}

TEST(Worker, TrafficComesBeforeCommands) {
  Worker worker({});
  TaskedLane a;
  // Removes the task, which by then has had its turn.
  class Remove final : public Command {
   public:
    explicit Remove(LaneTask* task) : task_(task) {}
    void run(Worker& w, uint64_t) override { w.tasks().remove(task_); }

   private:
    LaneTask* task_;
  } remove(&a.task);
  worker.tasks().add(&a.task);
  a.publish(2);
  ASSERT_TRUE(worker.post(&remove));
  EXPECT_EQ(worker.turn(1), 3u);
  a.publish();
  EXPECT_EQ(worker.turn(2), 0u);
  EXPECT_EQ(a.task.taken, 2u);
}

TEST(Worker, CountsItsTurnsAndThoseWithWork) {
  Worker worker({});
  TaskedLane a;
  worker.tasks().add(&a.task);
  a.publish();
  worker.turn(1);
  worker.turn(2);
  worker.turn(3);
  EXPECT_EQ(worker.stats().turns.read(), 3u);
  EXPECT_EQ(worker.stats().busy_turns.read(), 1u);
}

TEST(Worker, AnIdleTurnLooksAtALaneWhoseBellWasMissed) {
  Worker worker({.index = 2, .idle = {}, .armed = nullptr});
  Bells bells;
  worker.tasks().add_bells(bells.page.get());
  TaskedLane a(bells, 2, 9);
  worker.tasks().add(&a.task);
  for (uint64_t now = 1; now < 10; now++)
    worker.turn(now * 1'000'000);
  a.publish();
  (void)bells.page->worker[2].bits[0].take_all();
  worker.turn(20'000'000);
  EXPECT_EQ(worker.turn(20'000'001), 1u);
}

}  // namespace
}  // namespace penstock
