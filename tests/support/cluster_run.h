// A run of a SimCluster that follows from its seed: what it is made of, who publishes and
// subscribes, which faults there are and when; then they stop, and everything must drain.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tests/support/cluster_ledger.h"

namespace penstock::test {

// Faults that were injected, by kind.
enum class Fault : uint8_t {
  kLossyPort,   // frames lost (alone or in bursts), doubled, damaged, forged, late, reordered
  kBlackHole,   // everything from a port vanishes, or all that is large
  kPartition,   // one way
  kRate,        // a cable is slower, or a delay is longer
  kStall,       // a node, a worker or a control thread is not run
  kKill,        // a node dies with its clients, and comes back later
  kRestart,     // it is back at once
  kZombie,      // and the old one goes on beside it
  kRemoval,     // a node is no member for another any more, and later is again
  kClientDies,  // without a word
  kClientLeaves,
  kClientJoins,
  kRequest,     // of RDMA, broken
  kRdmaPort,    // of a device, down for a while
  kRdmaDevice,  // gone until its node starts anew
  // And what all of these did to frames.
  kLost,
  kDoubled,
  kDamaged,
  kForged,
  kReordered,
  kKinds,
};
inline constexpr auto kFaults = static_cast<size_t>(Fault::kKinds);
const char* text(Fault f);

struct ClusterOutcome {
  uint64_t trace = 0;
  bool drained = false;  // in time
  ClusterLedger::Counts counts;
  uint64_t relayed = 0;    // bytes that went down a chain
  uint64_t put = 0;        // and by RDMA
  uint64_t passed_on = 0;  // messages that relays put on
  uint64_t revoked = 0;    // connections that ended for the place of one
  uint64_t striped = 0;    // messages that went by several devices
  uint64_t misuse = 0;     // of RDMA: memory that was given back, receives that were not there
  uint64_t held = 0;       // frames and references that nobody gave back
  std::string wrong;       // books that do not balance, clients that were mistreated
  std::string text;        // to find out why
  std::array<uint64_t, kFaults> faults{};
};

ClusterOutcome run_cluster(uint64_t seed);

}  // namespace penstock::test
