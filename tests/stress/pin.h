// Pin: a race of nanoseconds happens only when both sides truly run at once.
#pragma once

#include <sched.h>

namespace penstock {

// This thread runs on the nth CPU that it may use, until the Pin goes.
class Pin {
 public:
  explicit Pin(int nth) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE; c++)
      if (CPU_ISSET(c, &before_) && nth-- == 0) CPU_SET(c, &one);
    if (CPU_COUNT(&one) == 1) sched_setaffinity(0, sizeof one, &one);
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

}  // namespace penstock
