// Requests: the calls of the API on their way to the control thread, which answers them between two
// turns of its loop and waits for nobody.
//
//   gRPC's threads: ask() ──▶ queue, eventfd ──▶ control thread: poll(answer)
//                   ask() ◀────── answer, or who has it ◀──────
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "control/api/api.h"
#include "dataplane/base/fd.h"

namespace penstock {

class Requests {
 public:
  using Clock = std::chrono::steady_clock;
  struct Reply {
    ApiAnswer answer = "";
    // Not empty: the answer comes from somebody who takes his time, and this waits for him, on the
    // thread that asked.
    std::function<ApiAnswer(Clock::time_point deadline)> later = nullptr;
  };
  // `call` is the name in control.proto, `request` its message as JSON. On the control thread.
  using Answer = std::function<Reply(const std::string& call, const std::string& request)>;

  Requests();
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;

  // Waits for the answer, at most until `deadline`: kTimeout then, and the call will not be
  // carried out unless that has begun. Any thread but the control thread.
  ApiAnswer ask(std::string call, std::string request, Clock::time_point deadline);

  // --- the control thread ---

  // Readable when poll() has something to do.
  int events() const { return event_.get(); }
  // Answers some of those that wait, so that many do not stop the node. Returns how many.
  uint32_t poll(const Answer& answer);
  // From here on nobody waits: kGone.
  void close();

 private:
  struct Waiting {
    std::string call;
    std::string request;
    bool answered = false;
    Reply reply;
  };

  const Fd event_;
  std::mutex mutex_;  // for what follows
  std::condition_variable answered_;
  std::deque<std::shared_ptr<Waiting>> queue_;
  bool closed_ = false;
};

}  // namespace penstock
