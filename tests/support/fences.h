// Counts the system calls of remote_fence(). For one file of a program: the function stands before
// the C library's.
#pragma once

#include <array>
#include <atomic>
#include <cstdarg>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace penstock::test {

inline std::atomic<int> fences{0};

}  // namespace penstock::test

// NOLINTNEXTLINE(cert-dcl50-cpp): as the C library declares it
extern "C" long syscall(long number, ...) noexcept {
  static const auto next = reinterpret_cast<long (*)(long, ...)>(dlsym(RTLD_NEXT, "syscall"));
  std::array<long, 6> a{};
  va_list arguments;
  va_start(arguments, number);
  for (long& value : a)
    value = va_arg(arguments, long);
  va_end(arguments);
  if (number == SYS_membarrier) penstock::test::fences.fetch_add(1, std::memory_order_relaxed);
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
