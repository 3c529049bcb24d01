// RingPair: what two ports "ring:NAME" of one process have in common: a ring each way for every
// queue, and both sides' buffers, because each side reads what lies in the other's.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "drivers/dpdk/or_sentence.h"
#include "drivers/dpdk/pools.h"
#include "drivers/dpdk/port_spec.h"

struct rte_ring;

namespace penstock {

struct RingPair {
  std::array<std::vector<rte_ring*>, 2> to;   // to[s]: what side s receives, one for each queue
  std::vector<std::shared_ptr<Pools>> pools;  // of all who ever took a side
  std::array<bool, 2> taken{};

  RingPair() = default;
  RingPair(const RingPair&) = delete;
  RingPair& operator=(const RingPair&) = delete;
  ~RingPair();
};

// One side of a pair, and the DPDK device on it.
struct RingEnd {
  std::shared_ptr<RingPair> pair;
  unsigned side = 0;
  uint16_t port = 0;
};

// Takes a free side of the pair of this name, which is made when there is none. `index`
// makes the device's name unique.
OrSentence<RingEnd> join_ring(const PortSpec& spec, unsigned index,
                              const std::shared_ptr<Pools>& pools);
// After the device is closed.
void leave_ring(const RingEnd& end);

}  // namespace penstock
