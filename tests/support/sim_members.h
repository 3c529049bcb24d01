// SimMembers: the nodes of a SimCluster find each other by a store. Each has a true Registry and a
// true Roster, on virtual time; the store is one SQLite file, which each hears through a
// FaultyStore of its own.
//
//   SqliteStore ◀── FaultyStore ◀── Registry ──▶ Roster ──▶ Node::add_peer, remove_peer
//                                       ▲ whom the links hear ──────────┘
//
// It also watches what each is told, and knows what is true, which it asks nobody for.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/membership/registry.h"
#include "tests/control/store/temporary.h"
#include "tests/support/sim_cluster.h"

namespace penstock::test {

class SimMembers {
 public:
  struct Config {
    uint64_t seed = 1;
    std::chrono::milliseconds lease{300};
    store::Follower::Timing timing{std::chrono::milliseconds(300), std::chrono::milliseconds(900),
                                   std::chrono::milliseconds(10), std::chrono::milliseconds(150)};
    uint64_t poll_ns = 50'000'000;  // of a store's thread
  };

  // The cluster is one of strangers, and outlives this.
  SimMembers(SimCluster& cluster, const Config& config);
  ~SimMembers();

  // As those of the cluster.
  void start(uint32_t i);
  void kill(uint32_t i);
  void start_beside(uint32_t i);
  void end_old();
  // Of all; before the cluster stops.
  void stop();
  // It takes its row along.
  void leave(uint32_t i);
  // By an operator, in the life that the store knows. False: the store does not.
  bool remove(uint32_t i);
  bool is_removed(uint32_t i) const { return removed_[i] >= lives_[i]; }

  // --- the store ---
  void cut(uint32_t i, bool away);
  // One answer from it takes so long.
  void delay(uint32_t i, uint64_t until);
  void lie(bool lies);
  void wipe();
  // It is as it was when it was saved. False: it never was.
  void save();
  bool rewind();

  // --- what must be so ---

  // Who does not see all others that run, in their present lives and in no other, and has its links
  // to them and to nobody else. Empty: they all do. An old life has links to nobody.
  std::string disagreement() const;
  // What must never be: a life that goes back, one that left although it was heard all the time.
  const std::string& wrong() const { return wrong_; }
  uint64_t gone() const { return gone_; }  // as often as somebody was told that

 private:
  struct Seat;

  std::unique_ptr<Seat> seat(uint32_t i);
  void poll();
  void poll(Seat& s);
  void note(Seat& s, const MemberEvent& event);

  SimCluster& cluster_;
  const Config config_;
  const TemporaryFolder folder_;
  std::vector<std::unique_ptr<Seat>> seats_;  // null: it is dead
  std::vector<std::unique_ptr<Seat>> old_;
  std::vector<uint64_t> lives_;
  std::vector<uint64_t> removed_;  // the last life that was
  std::vector<bool> cut_;
  bool lies_ = false;
  uint64_t gone_ = 0;
  std::string wrong_;
};

}  // namespace penstock::test
