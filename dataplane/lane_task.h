// LaneTask: a lane that a worker reads on behalf of somebody: a link (Forward) or a group
// (GroupSource). Owned by control, used by one worker between add_task and remove_task.
//
// An idle lane costs a turn nothing. A task that found nothing arms its reader slot, is polled for
// a while more, and is then left alone until its publisher rings the bell. The publisher uses no
// fence between publishing and looking at the armed word, so a bell can be missed in the moment of
// arming; lingering outlives any store buffer, and as a backstop the worker looks at one idle task
// every idle turn.
#pragma once

#include <cstdint>

#include "dataplane/lane/reader.h"

namespace penstock {

class LaneTask {
 public:
  explicit LaneTask(const LaneReader::Join& join) : reader_(join) {}
  LaneTask(const LaneTask&) = delete;
  LaneTask& operator=(const LaneTask&) = delete;
  virtual ~LaneTask() = default;

  // Does what can be done now, a burst at most; returns the work done. Called every turn while
  // active.
  virtual uint32_t poll(uint64_t now) = 0;

  // Nothing to read: the publisher will ring. False also while something read waits for room.
  virtual bool quiet() const { return !reader_.ready(); }

  LaneReader& reader() { return reader_; }
  const LaneReader& reader() const { return reader_; }

  // Where the lane's publisher rings: a bell page and the lane's slot in it. Null: never rung, so
  // the task stays active.
  BellPage* bells = nullptr;
  uint32_t bell_slot = 0;

 protected:
  LaneReader reader_;

 private:
  friend class TaskList;
  bool active_ = false;
  uint64_t idle_since_ = 0;
};

}  // namespace penstock
