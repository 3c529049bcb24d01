// Words in memory that other cores or other processes read. One writer, unless a function says
// otherwise. Lock-free by assertion, so that two processes may share them.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock {

class SharedWord {
 public:
  // Sees everything that was written before the store(v) whose value this returns.
  uint64_t load() const { return v_.load(std::memory_order_acquire); }
  uint64_t load_relaxed() const { return v_.load(std::memory_order_relaxed); }

  // Owner only. Publishes what was written before; pairs with load().
  void store(uint64_t v) { v_.store(v, std::memory_order_release); }
  void store_relaxed(uint64_t v) { v_.store(v, std::memory_order_relaxed); }

  // Any side: for bits that several set and one takes (doorbells).
  void set_bits(uint64_t bits) { v_.fetch_or(bits, std::memory_order_acq_rel); }
  // Owner only: a store that no later store of this thread can be seen before.
  void store_first(uint64_t v) { v_.exchange(v, std::memory_order_acq_rel); }
  uint64_t take_all() { return v_.exchange(0, std::memory_order_acq_rel); }

 private:
  std::atomic<uint64_t> v_{0};
};

static_assert(sizeof(SharedWord) == 8);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// A field that may be written while it is read. Each access is whole and happens once, so a copy
// that was checked stays what was checked; that the copies of several fields belong together is
// somebody else's business (a stamp before and after).
template <class T>
class Raced {
 public:
  T get() const { return v_.load(std::memory_order_relaxed); }
  void set(T v) { v_.store(v, std::memory_order_relaxed); }

 private:
  std::atomic<T> v_{};
  static_assert(std::atomic<T>::is_always_lock_free && sizeof(std::atomic<T>) == sizeof(T));
};

// What this thread stored before is seen before what it stores after, and what it loaded before was
// loaded before what it loads after. x86 does so by itself: the compiler has to be told.
inline void keep_order() {
#if defined(__x86_64__)
  std::atomic_signal_fence(std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_acq_rel);
#endif
}

// Every store before it is seen by everybody before any load after it is made. Costs about as much
// as a cache miss: once a lap, not once a message.
inline void full_fence() {
#if defined(__x86_64__)
  __asm__ __volatile__("mfence" ::: "memory");  // thread sanitizer knows no fences
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace penstock
