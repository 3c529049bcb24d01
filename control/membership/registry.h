// Registry: this node's row in the store, and everybody else's. It registers under a lease and
// keeps that alive; what it sees becomes members that come, change and leave.
//
//   epochs/2  = {"epoch": 7, "instance": ...}   stays: the epochs of a node only grow, by
//   compare-and-swap members/2 = {...}                           goes with the lease
//
// Nobody leaves because the store is away, wiped or slow: a member is gone when the store is heard,
// and has said for two leases that it has no such row. Who kept it from saying so (a stalled loop,
// an outage) begins that time anew. One thread, the store's.
#pragma once

#include <map>

#include "control/membership/member.h"
#include "control/store/follower.h"

namespace penstock {

struct MemberEvent {
  enum Kind : uint8_t { kThere, kGone } kind = kThere;  // kThere: new, or changed
  Member member;
};

class Registry {
 public:
  struct Options {
    Member self;
    std::chrono::milliseconds lease{10000};
    std::string snapshot;    // file of the last good state; empty: none
    bool read_only = false;  // people write the rows
    uint64_t seed = 1;
    store::Follower::Timing timing{};
  };

  Registry(store::Store& store, Options options);

  // Members of the snapshot; at once, whether or not the store is there. The text says what was
  // wrong with it.
  std::vector<MemberEvent> begin(std::string& trouble);
  // Does what is due at `now` (ms, steady) and waits up to `wait` for news.
  std::vector<MemberEvent> poll(uint64_t now, std::chrono::milliseconds wait);
  // Leaves in order: its row goes at once.
  void leave();

  bool registered() const { return lease_.id != 0 && written_; }
  // What is wrong: with the store, with our row, with a row of somebody else; empty: nothing.
  std::string trouble() const;

 private:
  struct Known {
    Member member;
    uint64_t missed_since = 0;  // 0: its row is there
  };

  void stay_registered(uint64_t now);
  bool write_row();
  void check_own_row(uint64_t now);
  void compare(uint64_t now, std::vector<MemberEvent>& events);
  void save(uint64_t now);

  store::Store& store_;
  const Options options_;
  store::Follower follower_;
  std::map<uint64_t, Known> known_;
  store::Lease lease_;
  bool written_ = false;
  bool fenced_ = false;  // a later start of this node, or another with its id, has the row
  uint64_t registered_at_ = 0;
  uint64_t next_try_ = 0;
  uint64_t last_poll_ = 0;
  uint64_t next_save_ = 0;
  bool unsaved_ = false;
  std::string own_trouble_, row_trouble_, save_trouble_;
};

// The largest epoch that the store knows of this node; 0: none. Before the node draws its own.
store::Result<uint64_t> epoch_in_store(store::Store& store, uint64_t id);

}  // namespace penstock
