// A run of many nodes that find each other by a store, from its seed: who joins, leaves, dies,
// comes back, is cut off from others or from the store, and what becomes of the store. Then all
// that stops, and every node must see every other, and what is published must get to everybody who
// wants it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/support/sim_cluster.h"

namespace penstock::test {

enum class Mishap : uint8_t {
  kJoin,       // of one that was not there, or had left or died
  kLeave,      // in order
  kKill,       // with its clients
  kRestart,    // it is back at once
  kZombie,     // and the old one goes on beside it
  kRemoval,    // by an operator
  kStall,      // a node does not run
  kSplit,      // a part of the nodes and the rest are cut off from each other
  kOneWay,     // nothing gets from one to another
  kStoreCut,   // for one, for many, or for all
  kStoreSlow,  // for one
  kStoreLies,  // answers lost, old, doubled and disordered, for all
  kStoreWiped,
  kStoreRewound,
  kClient,  // comes, leaves or dies
  kKinds,
};
inline constexpr auto kMishaps = static_cast<size_t>(Mishap::kKinds);
const char* text(Mishap m);

struct MembersOutcome {
  uint32_t nodes = 0;
  uint64_t trace = 0;
  uint64_t agreed_ms = 0;    // how long it took, of virtual time
  std::string disagreement;  // if they never did
  bool drained = false;
  ClusterLedger::Counts counts;
  uint64_t gone = 0;
  uint64_t held = 0;
  std::string wrong;  // what must never be; books that do not balance
  std::string text;
  std::array<uint64_t, kMishaps> mishaps{};
};

MembersOutcome run_members(uint64_t seed);

// A cluster of so many that a process can hold: 0.2 MiB for each end of a link, a turn of 1 ms.
SimCluster::Config many_nodes(uint64_t seed, uint32_t nodes);

}  // namespace penstock::test
