#include "dataplane/base/event.h"

#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace penstock {

void ring_event(int event_fd) {
  const uint64_t one = 1;
  // Full (EAGAIN) means that it is readable already: nothing to do.
  [[maybe_unused]] const ssize_t n = write(event_fd, &one, sizeof one);
}

Result<int> make_event() {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return Errc::kSystem;
  return fd;
}

bool enable_remote_fence() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0 &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

// Both: with the global one alone a writer in another thread of the caller's process was seen to go
// on without a fence (tests/stress: WhatIsPublishedWhileAReaderJoinsIsKept).
void remote_fence() {
  syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
  syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

}  // namespace penstock
