// How a receiver waits: a look at the socket now and then, a short spin, then sleep.
#include <algorithm>
#include <ctime>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/event.h"
#include "dataplane/base/idle.h"
#include "dataplane/client/receiver.h"

namespace penstock::client {
namespace {

constexpr uint64_t kForever = UINT64_MAX;
constexpr uint64_t kMostSpinNs = 20'000;
constexpr uint64_t kLeastSpinNs = 1'000;
constexpr uint32_t kTryAgain = 16;              // waits; then a long spin may pay again
constexpr uint64_t kMostSleepNs = 100'000'000;  // a bound: some wake-ups do not come

// Spinning on the only CPU keeps the sender from sending.
bool alone_on_one_cpu() {
  cpu_set_t mine;
  return sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) == 1;
}

}  // namespace

// recv or poll found nothing, and its caller does not wait.
Errc Receiver::glance(const penstock_message*& out) {
  if (watched_) return watch(out);
  if (!pacer_.due()) return nothing();
  client_.drain();
  return next(out) ? Errc::kOk : nothing();
}

Errc Receiver::wait(const penstock_message*& out, int64_t timeout_ns) {
  const uint64_t start = Clock::raw_ns();
  const uint64_t deadline = timeout_ns < 0 ? kForever : start + static_cast<uint64_t>(timeout_ns);
  if (waits_++ % kTryAgain == 0) spin_ns_ = kMostSpinNs;
  if (spin(out, start, deadline)) {
    spin_ns_ = kMostSpinNs;
    return Errc::kOk;
  }
  spin_ns_ = std::max(spin_ns_ / 2, kLeastSpinNs);
  const Errc e = sleep(out, deadline);
  return e == Errc::kTimeout && watched_ ? watch(out) : e;
}

bool Receiver::spin(const penstock_message*& out, uint64_t start, uint64_t deadline) {
  static const bool alone = alone_on_one_cpu();
  if (alone) return false;
  const uint64_t until = std::min(start + spin_ns_, deadline);
  for (uint64_t now = start; now < until; now = Clock::raw_ns()) {
    for (int i = 0; i < 8; i++) {
      if (next(out)) return true;
      pause_cpu();
    }
  }
  return false;
}

Errc Receiver::sleep(const penstock_message*& out, uint64_t deadline) {
  for (;;) {
    client_.drain();
    arm_all();
    remote_fence();
    const bool found = next(out);
    const Errc why = found ? Errc::kOk : nothing();
    const uint64_t now = Clock::raw_ns();
    if (why != Errc::kTimeout || (!more_ && now >= deadline)) {
      disarm_all();
      return why;
    }
    if (!more_) {
      const uint64_t most = std::min(deadline - now, kMostSleepNs);
      const timespec limit{0, static_cast<long>(most)};
      pollfd p{wake_fd_.get(), POLLIN, 0};
      ppoll(&p, 1, &limit, nullptr);
    }
    drain_event();
    disarm_all();
  }
}

// Somebody sleeps on event_fd() once we say that there is nothing. Armed lanes stay so until an
// event came, so that polling a quiet receiver is three system calls and no fence.
//
// Not for longer than sleep() would: a publisher may send before it has heard of a new reader, for
// which it rings nothing, and then no more.
Errc Receiver::watch(const penstock_message*& out) {
  for (;;) {
    client_.drain();
    const bool rung = drain_event();
    if (!armed_ || rung) {
      disarm_all();
      arm_all();
      armed_ = true;
      remote_fence();
    }
    if (next(out)) return Errc::kOk;
    if (!more_) return nothing();
  }
}

int Receiver::event_fd() {
  watched_ = true;
  settled_ = false;
  return wake_fd_.get();
}

void Receiver::arm_all() {
  for (const auto& lane : lanes_)
    lane->arm();
}

void Receiver::disarm_all() {
  armed_ = false;
  for (const auto& lane : lanes_)
    lane->disarm();
}

// True when somebody rang. The events inside are edge-triggered: telling of them resets them.
bool Receiver::drain_event() {
  epoll_event events[16];
  bool any = false;
  int n = 0;
  do {
    n = epoll_wait(event_.get(), events, 16, 0);
    any |= n > 0;
  } while (n == 16);
  if (watched_) set_timer(kMostSleepNs);
  return any;
}

// From now on; should it have gone off, that is forgotten.
void Receiver::set_timer(uint64_t after_ns) {
  itimerspec when{};
  when.it_value.tv_nsec = static_cast<long>(after_ns);
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

// Somebody else of this client took a packet for us from the socket, which so does not wake who
// sleeps on event_fd().
void Receiver::nudge() {
  if (watched_) set_timer(1);
}

}  // namespace penstock::client
