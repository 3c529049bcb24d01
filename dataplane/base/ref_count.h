// RefCount: how many frames in flight still refer to a piece of memory. Any core may take and give
// back (a ring device frees on the receiving core); the owner of the memory waits for zero.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock {

class RefCount {
 public:
  void take() { v_.fetch_add(1, std::memory_order_relaxed); }
  // Pairs with idle(): what was read through the reference was read before.
  void give_back() { v_.fetch_sub(1, std::memory_order_release); }
  bool idle() const { return v_.load(std::memory_order_acquire) == 0; }

 private:
  std::atomic<uint64_t> v_{0};
};

}  // namespace penstock
