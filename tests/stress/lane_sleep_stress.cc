// Nobody sleeps on a message. The reader goes to sleep after every one of them, the writer
// publishes at a random moment around that; a reader that had to be woken by the bound on its sleep
// although a message was there, and whose event did not even come late, was lost.
#include <functional>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <thread>

#include "tests/stress/pin.h"
#include "tests/stress/shared_lane.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;

constexpr uint64_t kMessages = 12'000;
constexpr int kBoundMs = 1'000;

struct Bed : SharedLane {
  LaneReader::Join join = join_only();
  Fd event{*make_event()};
};

void write_all(Bed& l, const Wake& wake) {
  const Pin pin(1);
  enable_remote_fence();
  Dice dice(1);
  LaneWriter w(l.memory, l.geometry, l.page);
  EXPECT_TRUE(w.add_topic("a").ok());
  w.attach_reader(l.join.index, l.join.generation, l.join.slot, wake);
  for (uint64_t n = 0; n < kMessages; n++) {
    // The next message comes only when the last one was taken: nothing else makes up for a lost
    // event. Right then the reader is about to arm.
    for (uint64_t turns = 1; l.join.slot->position.load() < n; turns++)
      if (turns % 1024 == 0) sched_yield();
    for (uint64_t spin = dice.below(dice.one_in(64) ? 100'000 : 100); spin > 0; spin--)
      __asm__ __volatile__("");
    while (w.send({}, std::as_bytes(std::span(&n, 1))) != Errc::kOk)
      sched_yield();
  }
}

// What the two kinds of reader do about their sleep.
struct Client {
  Bed& l;
  void arm(LaneReader& r) { r.arm(); }
  void disarm(LaneReader& r) { r.disarm(); }
};
struct Worker {
  Bed& l;
  SharedWord& sleeper() { return l.table->slots[1].armed; }
  void arm(LaneReader& r) {
    r.arm();
    sleeper().store(sleeper().load() | 1);
  }
  void disarm(LaneReader& r) {
    r.disarm();
    sleeper().store(sleeper().load() + 1);
    l.bells->worker[0].bits[0].take_all();
  }
};

// Returns how many sleeps had to be ended by their bound.
template <class Kind>
uint64_t read_all(Bed& l, Kind kind) {
  const Pin pin(0);
  enable_remote_fence();
  LaneReader r(l.join);
  uint64_t lost = 0;
  Message m;
  for (uint64_t want = 0; want < kMessages && lost == 0;) {
    while (r.next(m) == Next::kMessage)
      if (value_of(m) != want++) return ~uint64_t{0};
    r.release();
    if (want == kMessages) break;
    kind.arm(r);
    remote_fence();
    if (!r.ready()) {
      pollfd p{l.event.get(), POLLIN, 0};
      const bool woken = poll(&p, 1, kBoundMs) == 1;
      // A bound that ran out is nobody's fault while nothing is there, or while the writer was
      // stopped between publishing and ringing.
      if (!woken && r.ready() && poll(&p, 1, 10 * kBoundMs) == 0) lost++;
    }
    kind.disarm(r);
    uint64_t n = 0;
    [[maybe_unused]] const ssize_t got = ::read(l.event.get(), &n, sizeof n);
  }
  for (uint64_t turns = 0; r.released() < kMessages; turns++) {  // let the writer end
    while (r.next(m) == Next::kMessage) {
    }
    r.release();
    if (turns % 1024 == 0) sched_yield();
  }
  return lost;
}

Wake wake_of(Bed& l, bool worker) {
  if (!worker) return {.event_fd = l.event.get()};
  return {.event_fd = l.event.get(),
          .bell = &l.bells->worker[0].bits[0],
          .bell_bit = 1,
          .sleeper = &l.table->slots[1].armed};
}

uint64_t read_all_as(Bed& l, bool worker) {
  return worker ? read_all(l, Worker{l}) : read_all(l, Client{l});
}

void between_threads(bool worker) {
  Bed l;
  std::thread writer([&] { write_all(l, wake_of(l, worker)); });
  EXPECT_EQ(read_all_as(l, worker), 0u);
  writer.join();
}

void between_processes(bool worker) {
  Bed l;
  const pid_t child = fork();
  if (child == 0) {
    write_all(l, wake_of(l, worker));
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  EXPECT_EQ(read_all_as(l, worker), 0u);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(LaneSleepStress, NoClientSleepsOnAMessageBetweenThreads) {
  between_threads(false);
}
TEST(LaneSleepStress, NoClientSleepsOnAMessageBetweenProcesses) {
  between_processes(false);
}
TEST(LaneSleepStress, NoWorkerSleepsOnAMessageBetweenThreads) {
  between_threads(true);
}
TEST(LaneSleepStress, NoWorkerSleepsOnAMessageBetweenProcesses) {
  between_processes(true);
}

}  // namespace
}  // namespace penstock
