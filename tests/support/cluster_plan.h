// How much of what a seed of the cluster has, and its devices for RDMA.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/support/ledger.h"
#include "tests/support/sim_cluster.h"

namespace penstock::test {

inline constexpr uint32_t kPercent = 10'000;  // of a million

template <class T, size_t N>
T pick(Random& r, const T (&of)[N]) {
  return of[r.below(N)];
}

// How much of what a seed has.
struct Plan {
  uint64_t length_ns;
  uint64_t between_ns;  // faults, on average
  uint32_t network;     // percent of the faults: of the net, of nodes; the rest are of clients
  uint32_t nodes;
  bool partitions;
  uint32_t removals;   // percent: so often besides the faults
  uint32_t zero_copy;  // percent of those who may require it
  bool chains;         // everybody wants everything, and most of it goes down chains of devices
};

// True: everybody is to want everything, so that most of it goes down chains of devices.
inline bool give_devices(SimCluster::Config& c, Random& r) {
  c.rails = c.seed % 2 == 0 ? 0 : 1 + static_cast<uint32_t>(c.seed / 2 % 3);
  c.fabric.receive_depth = pick(r, {64U, 256U});
  c.fabric.max_endpoints = 16;
  c.fabric.send_depth = pick(r, {32U, 256U});
  c.fabric.faults.jitter_ns = r.below(20'000);
  c.fabric.faults.swapped = static_cast<uint32_t>(r.below(40 * kPercent));
  if (c.rails == 0 || c.chain_from_bytes == 0 || !r.chance(50)) return false;
  c.nodes = 4;
  c.lane.arena_log2 = 18;
  c.mirror.ring_log2 = 5;
  c.mirror.arena_log2 = pick(r, {15U, 17U});
  c.fabric.gbps = pick(r, {0U, 1U});
  return true;
}

}  // namespace penstock::test
