// TaskList: the lanes that a worker reads, and the bells that say which of them have news. Owned by
// one worker; see lane_task.h for how an idle lane costs nothing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/lane_task.h"

namespace penstock {

class TaskList {
 public:
  // `worker` chooses the line of each bell page.
  explicit TaskList(uint32_t worker) : worker_(worker) {}

  // Control owns task and page, and keeps them until removed.
  void add(LaneTask* task);
  void remove(LaneTask* task);
  void add_bells(BellPage* page);
  void remove_bells(BellPage* page);

  // Polls the task again until it has been quiet for a while.
  void wake(LaneTask* task);

  // One turn: hears bells, polls what is active. Returns the work done.
  uint32_t poll(uint64_t now);

  // Looks at one idle task, in case its bell was missed.
  void sweep();

  // Before sleeping: arms every task, so that each publisher rings. After it, a remote fence, and
  // then nothing_new().
  void arm_all();
  bool nothing_new() const;

  // True when something waits that no bell will announce: room at somebody else's.
  bool blocked() const;

 private:
  static constexpr uint64_t kLingerNs = 100'000;
  static constexpr uint32_t kBells = 512;  // per page and worker

  struct Bells {
    BellPage* page;
    std::array<std::vector<LaneTask*>, kBells> tasks;
  };
  void hear();
  Bells* find(const BellPage* page);

  uint32_t worker_;
  std::vector<std::unique_ptr<Bells>> bells_;
  std::vector<LaneTask*> all_;
  std::vector<LaneTask*> active_;
  size_t next_sweep_ = 0;
};

}  // namespace penstock
