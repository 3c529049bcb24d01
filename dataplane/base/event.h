// Waking somebody who sleeps, and the one-sided fence that makes going to sleep safe.
//
//   sleeper                            waker
//   armed = odd                        publish
//   remote_fence (fences every waker)  local_fence
//   look again, then sleep             armed odd and not rung yet?  -> ring_event
//
// The waker pays a plain load; the sleeper, who has time, pays the system call (membarrier(2)).
#pragma once

#include <atomic>
#include <cstdint>

#include "dataplane/base/errc.h"

namespace penstock {

// Adds 1 to an eventfd. Never blocks on a descriptor that the node made (EFD_NONBLOCK, and only
// the node and one waker hold it).
void ring_event(int event_fd);

// A non-blocking, close-on-exec eventfd; the caller closes it.
Result<int> make_event();

// Every process that publishes or sleeps calls this once, at set-up. False on kernels before 4.16:
// then sleepers rely on their bounded sleep alone.
bool enable_remote_fence();

// After it returns, every store that a registered process made before it is visible here, and every
// load it makes after sees this thread's stores. A system call: only when about to sleep.
//
// With one hole, seen on Linux 6.18: a CPU that a process used before it registered, and that was
// idle then, keeps saying "not registered" until another process has run there; a waker of another
// process on such a CPU is not fenced. So a sleep is always bounded (100 ms), and nothing else may
// rest on this fence, but that a store of nanoseconds ago has left its CPU (LaneDesk::close).
void remote_fence();

// The other half: what stands before it in the program comes before what stands after, once the
// other side has called remote_fence(). No instruction: it only holds the compiler.
inline void local_fence() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace penstock
