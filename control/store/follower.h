// Follower: keeps a View in step with the keys under a prefix, whatever becomes of the store. One
// thread, the store's.
#pragma once

#include <random>

#include "control/store/view.h"

namespace penstock::store {

class Follower {
 public:
  struct Timing {
    std::chrono::milliseconds resync_least{10000};  // everything is read anew after a time
    std::chrono::milliseconds resync_most{
        30000};                                  // between these two, so that not all come at once
    std::chrono::milliseconds retry_least{100};  // after an error; twice as long each time,
    std::chrono::milliseconds retry_most{5000};  // up to this, less a random part
  };
  struct News {
    std::vector<Event> changes;
    bool rewound = false;  // the store has lost what it had: what is missing now may come again
  };

  Follower(Store& store, std::string prefix, uint64_t seed, Timing timing)
      : store_(store), prefix_(std::move(prefix)), timing_(timing), random_(seed) {}
  Follower(Store& store, std::string prefix, uint64_t seed)
      : Follower(store, std::move(prefix), seed, Timing()) {}

  const View& view() const { return view_; }
  // Why the store is not heard now; empty when it is.
  const std::string& trouble() const { return trouble_; }
  // All contents were read at least once.
  bool complete() const { return complete_; }

  // Does what is due at `now` (ms, any steady clock) and waits up to `wait` for news; less after an
  // error.
  News poll(uint64_t now, std::chrono::milliseconds wait);

 private:
  void resync(uint64_t now, News& news);
  void failed(uint64_t now, const Error& why);

  Store& store_;
  const std::string prefix_;
  const Timing timing_;
  std::mt19937_64 random_;
  View view_;
  std::unique_ptr<Watch> watch_;
  std::string trouble_;
  bool complete_ = false;
  uint64_t resync_at_ = 0;
  uint64_t errors_ = 0;
};

}  // namespace penstock::store
