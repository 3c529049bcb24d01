// Waking somebody who sleeps, and the one-sided fence that makes going to sleep safe.
//
//   sleeper                            waker
//   armed = odd                        publish
//   membarrier (fences every waker)    armed odd and not rung yet?  -> ring_event
//   look again, then sleep
//
// The waker pays a plain load; the sleeper, who has time, pays the system call (membarrier(2)).
#pragma once

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
// load it makes after sees this thread's stores. A system call: only when about to sleep, or to
// join.
void remote_fence();

}  // namespace penstock
