// The checks of `penstock doctor`: from facts to what is well, what is not, and what mends it. A
// check is one row of one table, from which the report, its JSON and the table in README.md come.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "control/cli/doctor/facts.h"

namespace penstock::cli {

enum class Level : uint8_t { kOk, kWarning, kError };

const char* text(Level level);  // "ok", "warning", "error"

struct Finding {
  Level level = Level::kOk;
  std::string says;  // a sentence without its full stop; names the thing
  std::string mend;  // what to do about it; empty for kOk
};

struct Check {
  const char* name;
  const char* looks_at;
  // Pure. One finding for each thing that it looks at; none where the host has nothing of the kind.
  std::vector<Finding> (*judge)(const Facts& facts);
};

std::span<const Check> checks();

// The rows that stand in a file of their own.
std::vector<Finding> judge_config(const Facts& facts);
std::vector<Finding> judge_ports(const Facts& facts);
std::vector<Finding> judge_iommu(const Facts& facts);
std::vector<Finding> judge_path_mtu(const Facts& facts);
std::vector<Finding> judge_rdma_devices(const Facts& facts);
std::vector<Finding> judge_rdma_ports(const Facts& facts);
std::vector<Finding> judge_rdma_addresses(const Facts& facts);
std::vector<Finding> judge_rdma_mtu(const Facts& facts);
std::vector<Finding> judge_acs(const Facts& facts);
std::vector<Finding> judge_gpu_memory(const Facts& facts);
std::vector<Finding> judge_distance(const Facts& facts);

// "0-3,8"
std::string list_text(const std::vector<uint32_t>& numbers);

// What stands behind "KIND:" in the device of a port, if it is of that kind; else empty. A PCI
// address comes with its domain, "0000:3b:00.0".
std::string device_of(const PortOptions& port, const std::string& kind);

}  // namespace penstock::cli
