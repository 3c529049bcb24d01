// FaultyStore: a true store, of which less than the truth is heard. From a seed: calls without an
// answer, before or after they were carried out; answers from the past, never two in a row; watches
// that repeat, reorder, hold back, lose and end.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "control/store/store.h"

namespace penstock::test {

class FaultyStore : public store::Store {
 public:
  FaultyStore(store::Store& inner, uint64_t seed) : inner_(inner), random_(seed) {}

  void heal() { faulty_ = away_ = false; }
  void lie() { faulty_ = true; }
  // Nothing gets there, or comes from there.
  void cut(bool away) { away_ = away; }
  uint64_t faults() const { return faults_; }

  store::Result<store::Contents> range(std::string_view prefix) override {
    if (one_in(6)) return lost();
    auto now = inner_.range(prefix);
    if (!now) return now;
    std::deque<store::Contents>& past = past_[std::string(prefix)];
    if (!stale_ && !past.empty() && one_in(5)) {
      stale_ = true;
      return past[random_() % past.size()];
    }
    stale_ = false;
    past.push_back(*now);
    if (past.size() > 10) past.pop_front();
    return now;
  }
  store::Result<store::Outcome> txn(const store::Txn& txn) override {
    if (one_in(10)) return lost();
    const auto done = inner_.txn(txn);
    if (one_in(10)) return lost();
    return done;
  }
  store::Result<std::unique_ptr<store::Watch>> watch(std::string_view prefix,
                                                     uint64_t after) override {
    if (one_in(6)) return lost();
    auto inner = inner_.watch(prefix, after);
    if (!inner) return inner;
    return std::make_unique<FaultyWatch>(*this, std::move(*inner));
  }
  store::Result<store::Lease> grant(std::chrono::milliseconds ttl) override {
    if (one_in(10)) return lost();
    return inner_.grant(ttl);
  }
  store::Result<void> keep_alive(uint64_t lease) override {
    if (one_in(10)) return lost();
    return inner_.keep_alive(lease);
  }
  store::Result<void> revoke(uint64_t lease) override {
    if (away_) return lost();
    return inner_.revoke(lease);
  }

 private:
  class FaultyWatch : public store::Watch {
   public:
    FaultyWatch(FaultyStore& store, std::unique_ptr<store::Watch> inner)
        : store_(store), inner_(std::move(inner)) {}

    store::Result<std::vector<store::Event>> next(std::chrono::milliseconds wait) override {
      if (store_.one_in(25)) return store_.lost();
      if (store_.one_in(25))
        return store::error(store::Fault::kCompacted, "compacted, or so it says");
      auto heard = inner_->next(wait);
      if (!heard) return heard;
      for (const store::Event& e : *heard)
        if (!store_.one_in(10)) held_.push_back(e);
      if (store_.one_in(3)) std::shuffle(held_.begin(), held_.end(), store_.random_);
      std::vector<store::Event> said;
      while (!held_.empty() && !store_.one_in(4)) {
        said.push_back(held_.front());
        before_.push_back(held_.front());
        held_.pop_front();
      }
      if (!before_.empty() && store_.one_in(3))
        said.push_back(before_[store_.random_() % before_.size()]);
      return said;
    }

   private:
    FaultyStore& store_;
    const std::unique_ptr<store::Watch> inner_;
    std::deque<store::Event> held_;
    std::vector<store::Event> before_;
  };

  bool one_in(uint64_t n) {
    const bool yes = away_ || (faulty_ && random_() % n == 0);
    faults_ += yes;
    return yes;
  }
  static tl::unexpected<store::Error> lost() {
    return store::error(store::Fault::kUnavailable, "no answer");
  }

  store::Store& inner_;
  std::mt19937_64 random_;
  std::map<std::string, std::deque<store::Contents>> past_;  // answers, by what was asked
  bool stale_ = false;
  bool faulty_ = true;
  bool away_ = false;
  uint64_t faults_ = 0;
};

}  // namespace penstock::test
