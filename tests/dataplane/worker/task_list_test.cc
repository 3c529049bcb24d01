// Which lanes a worker looks at in a turn: those with news, and an idle one only when it is rung.
#include "dataplane/task_list.h"

#include <gtest/gtest.h>

#include "tests/dataplane/worker/tested_task.h"

namespace penstock {
namespace {

using test::Bells;
using test::TaskedLane;

constexpr uint32_t kWorker = 3;
constexpr uint64_t kLonger = 1'000'000;  // than any task lingers

class TaskListTest : public ::testing::Test {
 protected:
  TaskListTest() { tasks.add_bells(bells.page.get()); }

  // Until every lane that can be left alone is.
  void fall_idle() {
    for (int i = 0; i < 3; i++)
      turn(kLonger);
  }
  uint32_t turn(uint64_t passed = 1) { return tasks.poll(now += passed); }

  Bells bells;
  TaskList tasks{kWorker};
  uint64_t now = 1'000;
};

TEST_F(TaskListTest, ReadsWhatWasThereWhenItBegan) {
  TaskedLane a(bells, kWorker, 0);
  a.publish(3);
  tasks.add(&a.task);
  EXPECT_EQ(turn(), 3u);
  EXPECT_EQ(turn(), 0u);
}

TEST_F(TaskListTest, AnIdleLaneCostsATurnNothingUntilItsBellRings) {
  TaskedLane a(bells, kWorker, 77);
  tasks.add(&a.task);
  fall_idle();
  const uint32_t before = a.task.polls;
  turn();
  turn();
  EXPECT_EQ(a.task.polls, before);
  a.publish();
  EXPECT_EQ(turn(), 1u);
  EXPECT_EQ(a.task.taken, 1u);
}

TEST_F(TaskListTest, ALaneThatIsQuietForAMomentOnlyIsStillPolled) {
  TaskedLane a(bells, kWorker, 0);
  tasks.add(&a.task);
  turn();
  turn(50'000);
  const uint32_t before = a.task.polls;
  turn(40'000);
  EXPECT_EQ(a.task.polls, before + 1);
  a.publish();
  turn();
  turn(90'000);  // the patience began anew with the message
  turn(90'000);
  EXPECT_EQ(a.task.polls, before + 4);
}

TEST_F(TaskListTest, ABusyLaneIsNotArmed) {
  TaskedLane a(bells, kWorker, 0);
  tasks.add(&a.task);
  fall_idle();
  EXPECT_TRUE(a.task.reader().armed());
  a.publish();
  turn();
  EXPECT_FALSE(a.task.reader().armed());
}

TEST_F(TaskListTest, ALaneThatNobodyRingsForStaysActive) {
  TaskedLane a;
  tasks.add(&a.task);
  fall_idle();
  const uint32_t before = a.task.polls;
  turn();
  EXPECT_EQ(a.task.polls, before + 1);
}

TEST_F(TaskListTest, ARemovedTaskDoesNotRun) {
  TaskedLane active(bells, kWorker, 0);
  TaskedLane idle(bells, kWorker, 1);
  tasks.add(&active.task);
  tasks.add(&idle.task);
  fall_idle();
  active.publish();
  turn();
  tasks.remove(&active.task);
  tasks.remove(&idle.task);
  const uint32_t polls[] = {active.task.polls, idle.task.polls};
  active.publish();
  idle.publish();
  bells.page->worker[kWorker].bits[0].set_bits(3);
  turn();
  tasks.sweep();
  turn();
  EXPECT_EQ(active.task.polls, polls[0]);
  EXPECT_EQ(idle.task.polls, polls[1]);
  EXPECT_TRUE(tasks.nothing_new());
}

TEST_F(TaskListTest, ATaskThatWasRemovedCanBeAddedAgain) {
  TaskedLane a(bells, kWorker, 0);
  tasks.add(&a.task);
  tasks.remove(&a.task);
  a.publish();
  tasks.add(&a.task);
  EXPECT_EQ(turn(), 1u);
}

TEST_F(TaskListTest, AllTasksOfALaneHearItsBell) {
  TaskedLane a(bells, kWorker, 5);
  TaskedLane same_slot(bells, kWorker, 5);
  TaskedLane other(bells, kWorker, 6);
  for (TaskedLane* t : {&a, &same_slot, &other})
    tasks.add(&t->task);
  fall_idle();
  const uint32_t polls[] = {a.task.polls, same_slot.task.polls, other.task.polls};
  bells.page->worker[kWorker].bits[0].set_bits(1 << 5);
  turn();
  EXPECT_EQ(a.task.polls, polls[0] + 1);
  EXPECT_EQ(same_slot.task.polls, polls[1] + 1);
  EXPECT_EQ(other.task.polls, polls[2]);
}

TEST_F(TaskListTest, TheLineOfAnotherWorkerIsNotTouched) {
  TaskedLane a(bells, kWorker, 0);
  tasks.add(&a.task);
  fall_idle();
  bells.page->worker[kWorker + 1].bits[0].set_bits(1);
  const uint32_t before = a.task.polls;
  turn();
  EXPECT_EQ(a.task.polls, before);
  EXPECT_EQ(bells.page->worker[kWorker + 1].bits[0].load(), 1u);
}

TEST_F(TaskListTest, BellsOfNobodyHurtNobody) {
  TaskedLane a(bells, kWorker, 0);
  a.task.bell_slot = 512;  // no such bell: as one that is never rung
  tasks.add(&a.task);
  for (SharedWord& w : bells.page->worker[kWorker].bits)
    w.set_bits(~uint64_t{0});
  EXPECT_EQ(turn(), 0u);
  EXPECT_TRUE(tasks.nothing_new());
  tasks.remove(&a.task);
}

TEST_F(TaskListTest, APageThatWasRemovedIsNotLookedAt) {
  tasks.remove_bells(bells.page.get());
  bells.page->worker[kWorker].bits[7].set_bits(1);
  turn();
  EXPECT_EQ(bells.page->worker[kWorker].bits[7].load(), 1u);
  EXPECT_TRUE(tasks.nothing_new());
}

TEST_F(TaskListTest, AMissedBellIsMadeUpForByLookingRound) {
  TaskedLane a(bells, kWorker, 0);
  TaskedLane b(bells, kWorker, 1);
  tasks.add(&a.task);
  tasks.add(&b.task);
  fall_idle();
  b.publish();
  (void)bells.page->worker[kWorker].bits[0].take_all();
  EXPECT_EQ(turn(), 0u);
  tasks.sweep();
  tasks.sweep();
  EXPECT_EQ(turn(), 1u);
  EXPECT_EQ(b.task.taken, 1u);
}

TEST_F(TaskListTest, WhoFallsIdleTakesNoTurnFromTheOthers) {
  TaskedLane a(bells, kWorker, 0);
  TaskedLane b(bells, kWorker, 1);
  TaskedLane c(bells, kWorker, 2);
  for (TaskedLane* t : {&a, &b, &c})
    tasks.add(&t->task);
  c.task.burst = 1;
  c.publish(10);
  for (uint32_t i = 1; i <= 5; i++) {
    turn(kLonger);
    EXPECT_EQ(c.task.taken, i);
  }
}

TEST_F(TaskListTest, BeforeASleepEveryLaneIsArmedAndNewsAreSeen) {
  TaskedLane a(bells, kWorker, 0);
  tasks.add(&a.task);
  turn();
  a.publish();
  turn();
  EXPECT_FALSE(a.task.reader().armed());
  tasks.arm_all();
  EXPECT_TRUE(a.task.reader().armed());
  EXPECT_TRUE(tasks.nothing_new());
  a.publish();
  EXPECT_FALSE(tasks.nothing_new());
}

TEST_F(TaskListTest, ABellThatRangIsNews) {
  EXPECT_TRUE(tasks.nothing_new());
  bells.page->worker[kWorker].bits[2].set_bits(8);
  EXPECT_FALSE(tasks.nothing_new());
}

TEST_F(TaskListTest, WhoWaitsForRoomIsNeitherArmedNorLeftAlone) {
  TaskedLane a(bells, kWorker, 0);
  tasks.add(&a.task);
  EXPECT_FALSE(tasks.blocked());
  a.task.stuck = true;
  fall_idle();
  EXPECT_TRUE(tasks.blocked());
  tasks.arm_all();
  EXPECT_FALSE(a.task.reader().armed());
  const uint32_t before = a.task.polls;
  turn();
  EXPECT_EQ(a.task.polls, before + 1);
}

}  // namespace
}  // namespace penstock
