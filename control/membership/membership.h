// Membership: a Registry on a thread of its own, because a store may block, and what it says as a
// queue for the thread that runs the node.
//
//   store thread: Registry::poll ──▶ queue ──eventfd──▶ node's thread: take()
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "control/membership/registry.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/stop_flag.h"

namespace penstock {

class Membership {
 public:
  struct News {
    std::vector<MemberEvent> members;
    std::optional<std::string> trouble;  // when it is another than before; empty: all is well again
  };

  // The store is the thread's from here on.
  Membership(std::unique_ptr<store::Store> store, Registry::Options options);
  // Leaves in order; takes as long as the store does, at most a few of its time limits.
  ~Membership();

  // Readable when take() has something.
  int events() const { return event_.get(); }
  News take();

 private:
  void run();
  void tell(std::vector<MemberEvent> members, const std::string& trouble);

  const std::unique_ptr<store::Store> store_;
  Registry registry_;
  const Fd event_;
  StopFlag stop_;
  std::mutex mutex_;  // for the two below
  News news_;
  std::string trouble_;  // as it was told
  std::thread thread_;
};

}  // namespace penstock
