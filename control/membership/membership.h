// Membership: a Registry on a thread of its own, because a store may block, and what it says as a
// queue for the thread that runs the node.
//
//   store thread: Registry::poll ──▶ queue ──eventfd──▶ node's thread: take()
#pragma once

#include <future>
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
    // See Registry. When it is another than before; empty: all is well again.
    std::optional<std::string> store_trouble, trouble;
    bool complete = false;
  };

  // The store is the thread's from here on.
  Membership(std::unique_ptr<store::Store> store, Registry::Options options);
  // Leaves in order; takes as long as the store does, at most a few of its time limits.
  ~Membership();

  // Readable when take() has something.
  int events() const { return event_.get(); }
  News take();

  // Any thread: see remove_member(). Ready within a second and the store's time limits; the thread
  // that runs the node never waits for it. Broken when this ends first. Empty: too many wait.
  std::optional<std::future<store::Result<uint64_t>>> remove(uint64_t id);
  // Whom the node's links hear: see Registry.
  void set_heard(std::set<uint64_t> ids);
  // Our row says that this node is about to leave.
  void drain();

 private:
  struct Removal {
    uint64_t id;
    std::promise<store::Result<uint64_t>> done;
  };
  // What other threads want of the store's.
  struct Wants {
    std::vector<Removal> removals;
    std::optional<std::set<uint64_t>> heard;
    bool drain = false;
  };

  void run();
  void serve(Wants wants);
  void tell(std::vector<MemberEvent> members, const std::string& snapshot_trouble);

  const std::unique_ptr<store::Store> store_;
  Registry registry_;
  const Fd event_;
  StopFlag stop_;
  std::mutex mutex_;  // for what is below
  Wants wants_;
  News news_;
  std::string store_trouble_, trouble_;  // as they were told
  bool complete_ = false;
  std::thread thread_;
};

}  // namespace penstock
