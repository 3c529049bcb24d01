// StopFlag: set once by any core, looked at by a loop every turn.
#pragma once

#include <atomic>

namespace penstock {

class StopFlag {
 public:
  void set() { v_.store(true, std::memory_order_relaxed); }
  bool is_set() const { return v_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> v_{false};
};

}  // namespace penstock
