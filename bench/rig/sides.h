// Runs the two sides of a measurement, each pinned to a CPU of its own: the left one in this
// process on the first CPU we may use, the right one in a child (or a thread) on the second.
#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "bench/rig/board.h"

namespace penstock::bench {

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

// The CPUs of the two sides; the process ends when there are not two.
struct Cpus {
  int of[2] = {-1, -1};

  static Cpus find() {
    cpu_set_t may;
    if (sched_getaffinity(0, sizeof may, &may) != 0) die("sched_getaffinity");
    Cpus cpus;
    for (int c = 0, n = 0; c < CPU_SETSIZE && n < 2; c++) {
      if (CPU_ISSET(c, &may)) cpus.of[n++] = c;
    }
    if (cpus.of[1] < 0) {
      std::fputs("two CPUs are needed\n", stderr);
      std::_Exit(1);
    }
    return cpus;
  }

  void pin(unsigned side) const {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(of[side], &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) die("sched_setaffinity");
  }
};

// Memory that a fork shares, zeroed and touched.
inline void* shared_memory(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
                 -1, 0);
  if (p == MAP_FAILED) die("mmap");
  return p;
}

inline Board* new_board() {
  auto* board = new (shared_memory(sizeof(Board))) Board;
  board->ticks_per_ns = calibrate();
  return board;
}

// A right side that dies must not leave the left one spinning.
inline void on_child(int) {
  int status = 0;
  if (waitpid(-1, &status, WNOHANG) > 0 && status != 0) {
    constexpr char kText[] = "the right side failed\n";
    if (write(2, kText, sizeof kText - 1) > 0) _exit(1);
    _exit(1);
  }
}

// A side that hangs ends itself: it must not go on spinning when whoever started it has given up.
inline constexpr unsigned kMostSeconds = 30;

// body(side) runs on both sides and returns when its work is done. Returns in both processes: the
// side that this one is.
template <class Body>
unsigned run_processes(const Cpus& cpus, Body body) {
  std::signal(SIGCHLD, on_child);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) die("fork");
  const unsigned side = child == 0 ? 1 : 0;
  if (side == 1) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) std::_Exit(1);
  }
  alarm(kMostSeconds);
  cpus.pin(side);
  body(side);
  if (side == 0) {
    std::signal(SIGCHLD, SIG_DFL);
    waitpid(child, nullptr, 0);
  }
  return side;
}

template <class Body>
void run_threads(const Cpus& cpus, Body body) {
  alarm(kMostSeconds);
  std::thread right([&] {
    cpus.pin(1);
    body(1U);
  });
  cpus.pin(0);
  body(0U);
  right.join();
}

}  // namespace penstock::bench
