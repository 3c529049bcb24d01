// Errands: what control has a worker do, and what control does once it is done. Lambdas, because
// this is set-up: nothing here runs per message.
//
//   control                      worker
//   send(run, done) ──post──▶    run(worker)       between two turns
//   done() ◀────take_done────    ...
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "dataplane/base/errc.h"
#include "dataplane/worker.h"

namespace penstock {

// The errands of one worker. Owned by the control thread.
class Errands {
 public:
  using Run = std::function<void(Worker&, uint64_t now)>;
  using Done = std::function<void()>;

  explicit Errands(Worker& worker) : worker_(worker) {}
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;
  // The worker has ended: what is still on its way is neither run nor answered.
  ~Errands() {
    while (Command* c = worker_.take_done())
      delete c;
    while (Command* c = worker_.take_unrun())
      delete c;
  }

  // `run` on the worker's core, then `done` here, from poll(). In order. Never blocks: what the
  // ring does not take waits.
  void send(Run run, Done done = nullptr) {
    waiting_.push_back(std::make_unique<Errand>(std::move(run), std::move(done)));
    push();
  }

  // The same where the worker's answer matters: an Errc that `run` gives and `done` gets.
  template <class Ask, class Told>
  void ask(Ask run, Told done) {
    auto answer = std::make_shared<Errc>(Errc::kOk);
    send([run, answer](Worker& w, uint64_t now) { *answer = run(w, now); },
         [done, answer] { done(*answer); });
  }

  // Finishes what has come back. Returns how many.
  uint32_t poll() {
    uint32_t n = 0;
    while (Command* c = worker_.take_done()) {
      const std::unique_ptr<Errand> errand(static_cast<Errand*>(c));
      out_--;
      if (errand->done) errand->done();
      n++;
    }
    push();
    return n;
  }

  bool idle() const { return out_ == 0 && waiting_.empty(); }
  Worker& worker() { return worker_; }

 private:
  static constexpr uint32_t kMaxOut = 512;  // fewer than the rings hold

  struct Errand final : Command {
    Errand(Run r, Done d) : work(std::move(r)), done(std::move(d)) {}
    void run(Worker& worker, uint64_t now) override { work(worker, now); }
    Run work;
    Done done;
  };

  void push() {
    while (!waiting_.empty() && out_ < kMaxOut && worker_.post(waiting_.front().get())) {
      (void)waiting_.front().release();
      waiting_.pop_front();
      out_++;
    }
  }

  Worker& worker_;
  std::deque<std::unique_ptr<Errand>> waiting_;
  uint32_t out_ = 0;
};

}  // namespace penstock
