// Machine: what hwloc says about the CPUs that this process may use, in plain numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/dpdk/or_sentence.h"
#include "drivers/dpdk/placement.h"

namespace penstock {

struct Machine {
  struct Core {
    uint32_t numa_node;
    std::vector<uint32_t> cpus;  // its hardware threads that may be used, never empty
  };
  struct Nic {
    std::string address;
    std::vector<uint32_t> near;  // usable CPUs of its place in the machine
    bool placed;                 // false: the machine does not say where it is
  };

  uint32_t packages = 0;
  uint32_t numa_nodes = 0;
  std::vector<Core> cores;  // in the order of the machine
  std::vector<Nic> nics;    // those asked for
};

// The error is one sentence.
OrSentence<Machine> read_machine(const PlacementRequest& request);

}  // namespace penstock
