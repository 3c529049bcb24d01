#include "dataplane/task_list.h"

#include <algorithm>
#include <bit>

namespace penstock {

void TaskList::add(LaneTask* task) {
  all_.push_back(task);
  if (Bells* b = find(task->bells); b != nullptr && task->bell_slot < kBells)
    b->tasks[task->bell_slot].push_back(task);
  wake(task);
}

void TaskList::remove(LaneTask* task) {
  if (Bells* b = find(task->bells); b != nullptr && task->bell_slot < kBells)
    std::erase(b->tasks[task->bell_slot], task);
  std::erase(all_, task);
  std::erase(active_, task);
  task->active_ = false;
}

void TaskList::add_bells(BellPage* page) {
  bells_.push_back(std::make_unique<Bells>());
  bells_.back()->page = page;
}

void TaskList::remove_bells(BellPage* page) {
  std::erase_if(bells_, [&](const auto& b) { return b->page == page; });
}

TaskList::Bells* TaskList::find(const BellPage* page) {
  for (const auto& b : bells_)
    if (b->page == page && page != nullptr) return b.get();
  return nullptr;
}

void TaskList::wake(LaneTask* task) {
  task->reader_.disarm();
  task->idle_since_ = 0;
  if (task->active_) return;
  task->active_ = true;
  active_.push_back(task);
}

// A client may set any bit at any time: it only makes us look at a lane of its own.
void TaskList::hear() {
  for (const auto& b : bells_) {
    auto& line = b->page->worker[worker_];
    for (uint32_t w = 0; w < 8; w++) {
      if (line.bits[w].load_relaxed() == 0) continue;
      for (uint64_t bits = line.bits[w].take_all(); bits != 0; bits &= bits - 1) {
        const auto slot = w * 64 + static_cast<uint32_t>(std::countr_zero(bits));
        for (LaneTask* t : b->tasks[slot])
          wake(t);
      }
    }
  }
}

uint32_t TaskList::poll(uint64_t now) {
  hear();
  uint32_t work = 0;
  for (size_t i = 0; i < active_.size();) {
    LaneTask* t = active_[i];
    const uint32_t done = t->poll(now);
    work += done;
    if (done != 0 || !t->quiet()) {
      t->reader_.disarm();
      t->idle_since_ = 0;
    } else if (t->idle_since_ == 0) {
      t->reader_.arm();
      t->idle_since_ = now;
    } else if (t->bells != nullptr && now - t->idle_since_ > kLingerNs) {
      t->active_ = false;
      active_[i] = active_.back();
      active_.pop_back();
      continue;
    }
    i++;
  }
  return work;
}

void TaskList::sweep() {
  if (all_.empty()) return;
  next_sweep_ = next_sweep_ + 1 < all_.size() ? next_sweep_ + 1 : 0;
  LaneTask* t = all_[next_sweep_];
  if (!t->active_ && !t->quiet()) wake(t);
}

void TaskList::arm_all() {
  for (LaneTask* t : active_)
    if (t->quiet()) t->reader_.arm();
}

bool TaskList::nothing_new() const {
  for (const LaneTask* t : active_)
    if (t->reader_.armed() && !t->quiet()) return false;
  for (const auto& b : bells_)
    for (const SharedWord& w : b->page->worker[worker_].bits)
      if (w.load_relaxed() != 0) return false;
  return true;
}

bool TaskList::blocked() const {
  return std::any_of(active_.begin(), active_.end(), [](const LaneTask* t) { return !t->quiet(); });
}

}  // namespace penstock
