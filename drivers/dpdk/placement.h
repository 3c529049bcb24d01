// Placement: which CPU each worker runs on, and what is left for everything else. hwloc reads the
// machine; nothing is bound here.
//
// Workers take one hardware thread of each core, cores near the NICs first; CPU 0's core last,
// because the kernel likes it. Housekeeping (control, DPDK's own threads) gets the rest. Where CPUs
// are too few for both, they share, and the plan says so: then workers must sleep when idle.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/dpdk/or_sentence.h"

namespace penstock {

struct PlacementRequest {
  uint32_t workers = 1;
  std::vector<std::string> pci = {};  // NICs by address, "0000:3b:00.0"
  std::vector<uint32_t> cpus = {};    // workers come from these, in this order; empty: choose

  // Another machine than this one, for tests: one of hwloc's synthetic descriptions or an XML text.
  std::string synthetic = {};
  std::string xml = {};
};

struct Plan {
  struct Worker {
    uint32_t cpu;        // the operating system's number
    uint32_t numa_node;  // likewise
    bool operator==(const Worker&) const = default;
  };
  std::vector<Worker> workers;
  std::vector<uint32_t> housekeeping;  // CPUs, ascending
  bool shared = false;                 // some worker's core also does other work: do not spin
  std::string lcores;                  // for EAL: the one lcore is control, "0@(0,4-7)"
  std::vector<std::string> reasons;    // a sentence for each choice
  bool operator==(const Plan&) const = default;
};

// The plan, or a sentence about what is impossible. Before Eal::start(), which changes what the
// process may use. May take 10 ms.
OrSentence<Plan> place(const PlacementRequest& request);

// For `penstock topology`.
std::string describe(const Plan& plan);
std::string to_json(const Plan& plan);

}  // namespace penstock
