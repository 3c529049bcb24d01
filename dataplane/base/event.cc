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

// Both: the private one looks at who runs on each CPU now, and so reaches the threads of the
// caller's own process without the hole of the global one.
void remote_fence() {
  syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
  syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

}  // namespace penstock
