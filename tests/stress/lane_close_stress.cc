// A lane that the node ends while its publisher is at it: what was committed before the publisher
// saw the end is there for who reads to the end, at whatever moment that comes.
#include <atomic>
#include <gtest/gtest.h>
#include <thread>

#include "dataplane/base/event.h"
#include "tests/stress/pin.h"
#include "tests/stress/shared_lane.h"

namespace penstock {
namespace {

// As client::Sender does it: stamp, and then look. True: the node has said nothing yet.
bool send(LaneWriter& w, const NodePage& page) {
  if (w.loan(8) == nullptr) {
    w.refresh();
    return page.ending.load() == 0;
  }
  w.commit({});
  local_fence();
  return page.ending.load() == 0;
}

TEST(LaneClose, LosesNothingThatWasSent) {
  ASSERT_TRUE(enable_remote_fence());
  constexpr int kRounds = 3000;
  std::atomic<int> round = 0, writing = 0;
  std::atomic<uint64_t> sent = 0;
  std::unique_ptr<SharedLane> lane;
  std::thread publisher([&] {
    const Pin pin(1);
    for (int i = 1; i <= kRounds; i++) {
      while (round.load() < i)
        sched_yield();
      LaneWriter w(lane->memory, lane->geometry, lane->page);
      writing.store(i);
      bool more = true;
      uint64_t known = 0;
      while (more) {
        more = send(w, *lane->page);
        if (more) known = w.head();
      }
      sent.store(known);
      writing.store(-i);
    }
  });
  const Pin pin(0);
  for (int i = 1; i <= kRounds; i++) {
    lane = std::make_unique<SharedLane>();
    LaneReader r(lane->join_only());
    round.store(i);
    while (writing.load() != i)
      sched_yield();
    Message m;
    uint64_t got = 0;
    for (int turn = 0; !r.finished(); turn++) {
      if (turn == i % 64) lane->desk.close(CloseReason::kNodeStopped);
      while (r.next(m) == LaneReader::Next::kMessage)
        got++;
      r.release();
    }
    while (writing.load() != -i)
      sched_yield();
    EXPECT_GE(got, sent.load()) << "round " << i;
    EXPECT_LE(got, sent.load() + 1) << "round " << i;
  }
  publisher.join();
}

}  // namespace
}  // namespace penstock
