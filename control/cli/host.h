// What this host has that a node can use: asked of hwloc, and of the kernel in /sys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace penstock::cli {

struct HugePageSize {
  uint64_t kib;
  uint64_t total;
  uint64_t free;
};

struct Nic {
  std::string pci;        // "0000:03:00.0"
  std::string driver;     // of the kernel; empty: none
  std::string interface;  // "eth0"; empty: the kernel does not use it
  std::string addresses;  // that the interface has, "10.0.0.5/24", with commas between them
  int numa_node;          // -1: unknown
  bool enslaved;          // part of a bond or bridge
  bool in_use() const { return !addresses.empty() || enslaved; }
};

struct Host {
  std::string name;
  uint32_t cores = 0;
  uint32_t threads = 0;
  uint32_t numa_nodes = 0;
  bool iommu = false;
  std::vector<HugePageSize> huge_pages;
  std::vector<Nic> nics;
};

// `sys` is /sys, or a tree of a test. What cannot be read is left out.
Host look_at_host(const std::filesystem::path& sys = "/sys");

nlohmann::json to_json(const Host& host);

// hwloc's description of this machine, as XML; empty when hwloc has none.
std::string topology_xml();

}  // namespace penstock::cli
