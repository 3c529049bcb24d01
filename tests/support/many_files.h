// A test with many lanes has many descriptors open: as many as the kernel lets this process have.
#pragma once

#include <sys/resource.h>

namespace penstock::test {

inline void allow_many_files() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace penstock::test
