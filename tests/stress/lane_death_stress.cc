// Writers and readers are killed at random instants, 200 of them, and the others go on: the control
// side frees the mark of a dead reader, and starts a writer anew on the same lane. Nobody ever sees
// a partial message, and nothing is left over.
#include <array>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

#include "dataplane/base/sealed_memory.h"
#include "dataplane/base/spsc_ring.h"
#include "tests/dataplane/lane/test_lane.h"
#include "tests/stress/pattern.h"

namespace penstock {
namespace {

using Next = LaneReader::Next;
using std::chrono::steady_clock;

constexpr int kLanes = 5;
constexpr int kKillsPerLane = 40;
constexpr uint32_t kSeats = 3;
constexpr uint64_t kMost = 1500;
constexpr auto kPatience = std::chrono::seconds(20);
constexpr LaneGeometry kGeometry{.ring_log2 = 4, .arena_log2 = 13, .topics = 1};

// What the processes tell each other about the test itself.
struct Notes {
  SharedWord stop;
  SharedWord wrong;                // something was not as it must be
  SharedWord sent;                 // the writer's head
  SharedWord taken[kSeats];        // messages by each seat, over all its lives
  SpscRing<uint32_t, 64> changes;  // control to writer: a seat was taken (or freed: + kSeats)
  struct Seat {
    SharedWord generation;  // 0: free
    SharedWord index;
  } seats[kSeats];
};

size_t open_descriptors() {
  const auto all = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

size_t memfd_mappings() {
  std::ifstream maps("/proc/self/maps");
  size_t n = 0;
  for (std::string line; std::getline(maps, line);)
    n += line.find("memfd:") != std::string::npos;
  return n;
}

SealedMemory memory(const char* name, uint64_t bytes) {
  auto m = SealedMemory::create(name, bytes);
  if (!m.ok()) abort();
  return std::move(*m);
}

// What a child maps anew from the descriptors it got, as a client would.
template <class T>
T* map(Mapping& keep, const SealedMemory& m, Access access) {
  auto got = Mapping::open(m.fd(), m.bytes(), access);
  if (!got.ok()) _exit(3);
  keep = std::move(*got);
  return reinterpret_cast<T*>(keep.data());
}

class Stage {
 public:
  explicit Stage(uint64_t seed) : dice_(seed) {
    enable_remote_fence();
    lane_map_ = *lane_.map(Access::kReadWrite);
    page_map_ = *page_.map(Access::kReadWrite);
    notes_map_ = *notes_memory_.map(Access::kReadWrite);
    notes_ = new (notes_map_.data()) Notes;
    LaneWriter::format(lane_map_.data(), kGeometry, seed, 1);
    LaneWriter(lane_map_.data(), kGeometry, nullptr).add_topic("a").ok();
    desk_ = LaneDesk(reinterpret_cast<NodePage*>(page_map_.data()),
                     reinterpret_cast<const LaneHeader*>(lane_map_.data()), seed);
  }

  void run() {
    for (uint32_t s = 0; s < kSeats; s++)
      start_reader(s);
    start_writer();
    for (int i = 0; i < kKillsPerLane && notes_->wrong.load() == 0; i++) {
      std::this_thread::sleep_for(std::chrono::microseconds(dice_.below(8'000)));
      const auto victim = static_cast<uint32_t>(dice_.below(kSeats + 1));
      if (victim < kSeats) {
        kill_reader(victim);
      } else {
        kill_child(writer_);
        start_writer();
      }
      expect_others_go_on(victim);
    }
    finish();
  }

 private:
  // --- the children ---

  [[noreturn]] void be_writer() {
    Mapping keep[3];
    auto* lane = map<std::byte>(keep[0], lane_, Access::kReadWrite);
    auto* page = map<const NodePage>(keep[1], page_, Access::kReadWrite);
    auto* table = map<const PositionTable>(keep[2], table_, Access::kReadWrite);
    LaneWriter w(lane, kGeometry, page);
    for (uint32_t s = 0; s < kSeats; s++)
      attach(w, table, s);
    while (notes_->stop.load() == 0) {
      uint32_t seat = 0;
      if (notes_->changes.pop({&seat, 1}) == 1) attach(w, table, seat);
      const uint64_t len = pattern_size(w.head(), kMost);
      std::byte* to = w.loan(len);
      if (to == nullptr) {
        sched_yield();
        continue;
      }
      pattern_write(to, len, w.head());
      w.commit({});
      notes_->sent.store(w.head());
    }
    _exit(0);
  }

  void attach(LaneWriter& w, const PositionTable* table, uint32_t seat) {
    const auto generation = static_cast<uint32_t>(notes_->seats[seat].generation.load());
    if (generation == 0) return;
    w.attach_reader(static_cast<uint32_t>(notes_->seats[seat].index.load()), generation,
                    &table->slots[seat], {});
  }

  [[noreturn]] void be_reader(LaneReader::Join join, uint32_t seat) {
    Mapping keep[3];
    join.memory = map<const std::byte>(keep[0], lane_, Access::kReadWrite);
    join.page = map<const NodePage>(keep[1], page_, Access::kReadWrite);
    join.slot = &map<PositionTable>(keep[2], table_, Access::kReadWrite)->slots[seat];
    LaneReader r(join);
    Dice dice(join.generation);
    std::vector<std::byte> room(kMost);
    Message m;
    for (;;) {
      const uint64_t at = r.position();
      const Next n = r.next(m);
      if (n == Next::kEmpty) {
        r.release();
        if (notes_->stop.load() != 0 && r.finished()) _exit(0);
        sched_yield();
        continue;
      }
      notes_->taken[seat].store(notes_->taken[seat].load() + 1);
      if (n == Next::kGap) {
        if (!join.lossy) notes_->wrong.store(1);
        continue;
      }
      if (join.lossy && !r.copy(m, room.data())) continue;
      const std::byte* bytes = join.lossy ? room.data() : m.data;
      if (m.position != at || !pattern_whole({bytes, static_cast<size_t>(m.len)}, at, kMost))
        notes_->wrong.store(2);
      if (dice.one_in(3)) r.release();
    }
  }

  // --- control ---

  template <class Body>
  pid_t spawn(Body body) {
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      body();
    }
    EXPECT_GT(pid, 0);
    return pid;
  }

  void start_writer() {
    // What the last writer had not yet heard, the new one sees in the seats.
    new (&notes_->changes) SpscRing<uint32_t, 64>;
    writer_ = spawn([this] { be_writer(); });
  }

  void start_reader(uint32_t seat) {
    const bool lossy = dice_.one_in(3);
    const auto joined = *desk_.join(lossy);
    const LaneReader::Join join{.geometry = kGeometry,
                                .index = joined.index,
                                .generation = joined.generation,
                                .start = joined.start,
                                .lossy = lossy};
    notes_->seats[seat].index.store(joined.index);
    notes_->seats[seat].generation.store(joined.generation);
    const uint32_t change = seat;
    EXPECT_EQ(notes_->changes.push({&change, 1}), 1u);
    readers_[seat] = spawn([this, join, seat] { be_reader(join, seat); });
  }

  static void kill_child(pid_t pid) {
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it had ended by itself: " << status;
  }

  void kill_reader(uint32_t seat) {
    kill_child(readers_[seat]);
    desk_.leave(static_cast<uint32_t>(notes_->seats[seat].index.load()));
    start_reader(seat);
  }

  bool wait_for_more(const SharedWord& word) {
    const uint64_t before = word.load();
    const auto end = steady_clock::now() + kPatience;
    while (word.load() == before && steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    return word.load() != before;
  }

  void expect_others_go_on(uint32_t victim) {
    ASSERT_TRUE(wait_for_more(notes_->sent)) << "the writer stands after victim " << victim;
    for (const SharedWord& taken : notes_->taken)
      ASSERT_TRUE(wait_for_more(taken)) << "a reader stands after victim " << victim;
  }

  void finish() {
    EXPECT_EQ(notes_->wrong.load(), 0u) << "1: a gap; 2: a partial message";
    kill_child(writer_);
    desk_.close(CloseReason::kPublisherDied);
    notes_->stop.store(1);
    for (const pid_t pid : readers_) {
      int status = -1;
      EXPECT_EQ(waitpid(pid, &status, 0), pid);
      EXPECT_EQ(status, 0);
    }
  }

  Dice dice_;
  SealedMemory lane_ = memory("lane", kGeometry.total_bytes());
  SealedMemory page_ = memory("page", sizeof(NodePage));
  SealedMemory table_ = memory("table", sizeof(PositionTable));
  SealedMemory notes_memory_ = memory("notes", sizeof(Notes));
  Mapping lane_map_;
  Mapping page_map_;
  Mapping notes_map_;
  Notes* notes_ = nullptr;
  LaneDesk desk_;
  pid_t writer_ = -1;
  std::array<pid_t, kSeats> readers_{};
};

TEST(LaneDeathStress, TheOthersGoOnAndNothingLeaks) {
  const size_t descriptors = open_descriptors();
  const size_t mappings = memfd_mappings();
  for (uint64_t lane = 1; lane <= kLanes && !HasFailure(); lane++) {
    Stage(lane).run();
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_EQ(memfd_mappings(), mappings);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  }
}

}  // namespace
}  // namespace penstock
