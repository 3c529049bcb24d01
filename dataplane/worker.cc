#include "dataplane/worker.h"

#include <algorithm>
#include <ctime>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "dataplane/base/event.h"

namespace penstock {

Worker::Worker(const Config& config)
    : config_(config),
      tasks_(config.index),
      idle_(config.idle),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (auto e = make_event(); e.ok()) own_event_ = Fd(*e);
  if (auto e = make_event(); e.ok()) done_event_ = Fd(*e);
  if (own_event_) (void)add_wake_event(own_event_.get());
}

bool Worker::post(Command* command) {
  if (commands_.push({&command, 1}) == 0) return false;
  ring_event(own_event_.get());
  return true;
}

Command* Worker::take_done() {
  Command* c = nullptr;
  return done_.pop({&c, 1}) == 1 ? c : nullptr;
}

Command* Worker::take_unrun() {
  Command* c = nullptr;
  return commands_.pop({&c, 1}) == 1 ? c : nullptr;
}

void Worker::stop() {
  stop_.set();
  ring_event(own_event_.get());
}

// Frames first: what they bring frees room and may be acknowledged below. Then what publishers here
// have new. Then out, so that both leave in this same turn. Commands last and one at a time: they
// are rare, and never more urgent than traffic.
uint32_t Worker::turn(uint64_t now) {
  stats_.turns.add(1);
  uint32_t work = 0;
  for (NetPort* p : ports_)
    work += p->receive(now);
  for (FabricPort* f : fabrics_)
    work += f->poll(now);
  work += tasks_.poll(now);
  for (NetPort* p : ports_)
    work += p->transmit(now);
  work += run_commands(now);
  for (NetPort* p : ports_)
    if (p->take_noticed()) ring_event(done_event_.get());
  for (FabricPort* f : fabrics_)
    if (f->take_noticed()) ring_event(done_event_.get());
  if (work == 0) {
    tasks_.sweep();
  } else {
    stats_.busy_turns.add(1);
  }
  return work;
}

uint32_t Worker::run_commands(uint64_t now) {
  Command* c = nullptr;
  if (commands_.pop({&c, 1}) == 0) return 0;
  c->run(*this, now);
  // As large as the other ring, and control takes before it posts more: it cannot stay full.
  while (done_.push({&c, 1}) == 0)
    pause_cpu();
  ring_event(done_event_.get());
  return 1;
}

void Worker::count_busy(uint64_t ns) {
  stats_.busy_ns.add(ns);
  if (ns > stats_.longest_ns.load_relaxed()) stats_.longest_ns.store_relaxed(ns);
}

void Worker::run() {
  prctl(PR_SET_TIMERSLACK, 1'000UL);
  enable_remote_fence();
  uint64_t busy_since = 0;  // the turn before did work, and began then
  while (!stop_.is_set()) {
    const uint64_t now = clock_.now();
    if (busy_since != 0) count_busy(now - busy_since);
    const uint32_t work = turn(now);
    busy_since = work != 0 ? now : 0;
    if (const uint64_t sleep_ns = idle_.turn(work, now); sleep_ns != 0) {
      sleep(now, sleep_ns);
    } else if (work != 0) {
      nap_ns_ = kNapNs;
    }
    if (now - recalibrated_ > kRecalibrateNs) {
      clock_.recalibrate();
      recalibrated_ = now;
    }
  }
}

// 0: there is something to do. A port that cannot wake us bounds the sleep, ever longer while
// nothing comes.
uint64_t Worker::sleep_time(uint64_t now, uint64_t max_ns) {
  bool waiting = tasks_.blocked();
  bool wakes = true;
  uint64_t deadline = now + max_ns;
  for (NetPort* p : ports_) {
    waiting |= p->waiting();
    wakes &= p->wakes();
    deadline = std::min(deadline, p->next_deadline(now));
  }
  for (FabricPort* f : fabrics_) {
    waiting |= f->busy();
    wakes &= !f->open();
  }
  if (deadline <= now) return 0;
  uint64_t ns = deadline - now;
  if (waiting) {
    ns = std::min(ns, kNapNs);
  } else if (!wakes) {
    ns = std::min(ns, nap_ns_);
    nap_ns_ = std::min(nap_ns_ * 2, kPolledNapNs);
  }
  return ns;
}

// Sleeps on events.
void Worker::sleep(uint64_t now, uint64_t max_ns) {
  const uint64_t ns = sleep_time(now, max_ns);
  if (ns == 0) return;
  tasks_.arm_all();
  if (config_.armed != nullptr) config_.armed->store(config_.armed->load_relaxed() + 1);  // odd
  remote_fence();
  if (tasks_.nothing_new() && !stop_.is_set()) {
    stats_.sleeps.add(1);
    epoll_event events[16];
    const timespec timeout{static_cast<time_t>(ns / 1'000'000'000),
                           static_cast<long>(ns % 1'000'000'000)};
    epoll_pwait2(epoll_.get(), events, 16, &timeout, nullptr);
  }
  if (config_.armed != nullptr) config_.armed->store(config_.armed->load_relaxed() + 1);  // even
}

Errc Worker::add_wake_event(int fd) {
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;  // an event that rang before is not read, only waited for
  e.data.fd = fd;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) == 0 ? Errc::kOk : Errc::kSystem;
}

void Worker::remove_wake_event(int fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

}  // namespace penstock
