// Registry: this node's row in the store, and everybody else's. It registers under a lease and
// keeps that alive; what it sees becomes members that come, change and leave.
//
//   epochs/2  = {"epoch": 7, "instance": ...}   stays: the epochs of a node only grow, by
//   compare-and-swap members/2 = {...}                           goes with the lease
//   removed/2 = {"epoch": 7}                    stays: this life and those before are no members,
//                                               an operator says so
//
// Nobody leaves because the store is away, wiped or slow: a member is gone when the store is heard,
// and has said for two leases that it has no such row, and nobody's link here has heard it for as
// long. Who kept it from saying so (a stalled loop, an outage) begins that time anew. One thread,
// the store's.
#pragma once

#include <map>
#include <set>

#include "control/membership/member.h"
#include "control/store/follower.h"

namespace penstock {

struct MemberEvent {
  enum Kind : uint8_t {
    kThere,    // new, or changed
    kGone,     // it died, or left
    kRemoved,  // by an operator; also for one that is not known, and for this node itself
  } kind = kThere;
  Member member;  // kRemoved: its epoch is the last that is
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
  // Whom our links hear: these are not gone, whatever the store says.
  void heard(std::set<uint64_t> ids) { heard_ = std::move(ids); }
  // Our row says that this node is about to leave.
  void drain();
  // Leaves in order: its row goes at once.
  void leave();

  bool registered() const { return lease_.id != 0 && written_; }
  // The store was heard at least once.
  bool complete() const { return follower_.complete(); }
  // Why the store is not heard, or does not take our row; empty: all is well with it.
  std::string store_trouble() const;
  // What is wrong with our row, with a row of somebody else, with the snapshot; empty: nothing.
  std::string trouble() const;

 private:
  struct Known {
    Member member;
    uint64_t missed_since = 0;  // 0: its row is there
  };

  void take_removals(std::vector<MemberEvent>& events);
  bool is_removed(const Member& member) const;
  void stay_registered(uint64_t now);
  bool write_row();
  void check_own_row(uint64_t now);
  void compare(uint64_t now, std::vector<MemberEvent>& events);
  void save(uint64_t now);

  store::Store& store_;
  const Options options_;
  store::Follower follower_;
  std::map<uint64_t, Known> known_;
  std::map<uint64_t, uint64_t> removed_;  // the last epoch that is, by node id
  std::set<uint64_t> heard_;
  store::Lease lease_;
  bool written_ = false;
  bool fenced_ = false;    // a later start of this node, or another with its id, has the row
  bool expelled_ = false;  // an operator has removed this node
  bool draining_ = false;
  uint64_t registered_at_ = 0;
  uint64_t next_try_ = 0;
  uint64_t last_poll_ = 0;
  uint64_t next_save_ = 0;
  bool unsaved_ = false;
  std::string write_trouble_;  // what the store said when our row was to be kept
  std::string own_trouble_, row_trouble_, save_trouble_;
};

// The largest epoch that the store knows of this node; 0: none. Before the node draws its own.
store::Result<uint64_t> epoch_in_store(store::Store& store, uint64_t id);

// Removes a node from the members, for an operator: the life that the store knows of it and all
// before. Every node that hears the store drops its links to them, and the node itself goes on for
// the programs on its host. It comes back with its next start. Returns the epoch. kReadOnly: people
// write the rows. kInvalid: there was never such a node, or it has changed at this moment and is to
// be looked at again.
store::Result<uint64_t> remove_member(store::Store& store, uint64_t id);

}  // namespace penstock
