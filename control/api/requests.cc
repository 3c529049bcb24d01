#include "control/api/requests.h"

#include <algorithm>
#include <unistd.h>

#include "dataplane/base/event.h"

namespace penstock {
namespace {

constexpr uint32_t kEach = 8;  // a poll

Fd event() {
  const auto made = make_event();
  return made.ok() ? Fd(*made) : Fd();
}

tl::unexpected<ApiError> stopping() {
  return api_error(ApiFault::kGone, "the node is stopping");
}

}  // namespace

Requests::Requests() : event_(event()) {}

ApiAnswer Requests::ask(std::string call, std::string request, Clock::time_point deadline) {
  const auto waiting = std::make_shared<Waiting>();
  waiting->call = std::move(call);
  waiting->request = std::move(request);
  std::unique_lock lock(mutex_);
  if (closed_) return stopping();
  queue_.push_back(waiting);
  ring_event(event_.get());
  answered_.wait_until(lock, deadline, [&] { return waiting->answered; });
  if (waiting->answered) {
    lock.unlock();
    return waiting->reply.later ? waiting->reply.later(deadline) : std::move(waiting->reply.answer);
  }
  std::erase(queue_, waiting);
  return api_error(ApiFault::kTimeout, "the control thread of the node does not answer");
}

uint32_t Requests::poll(const Answer& answer) {
  uint64_t count = 0;
  (void)!read(event_.get(), &count, sizeof count);
  for (uint32_t n = 0;; n++) {
    std::shared_ptr<Waiting> next;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) return n;
      if (n == kEach) {
        ring_event(event_.get());
        return n;
      }
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    Reply reply = answer(next->call, next->request);
    const std::lock_guard lock(mutex_);
    next->reply = std::move(reply);
    next->answered = true;
    answered_.notify_all();
  }
}

void Requests::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& waiting : queue_) {
    waiting->reply.answer = stopping();
    waiting->answered = true;
  }
  queue_.clear();
  answered_.notify_all();
}

}  // namespace penstock
