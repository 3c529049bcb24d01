// What `penstock doctor` knows about a host: plain data, looked up by look.h, judged by checks.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/cli/host.h"
#include "control/config/load.h"

namespace penstock::cli {

// Where a PCI device is.
struct PciDevice {
  uint32_t kind = 0;               // its class: 0x020000 is an Ethernet NIC
  uint32_t vendor = 0;             // 0x10de: NVIDIA
  int numa_node = -1;              // -1: the machine does not say
  std::string iommu_group;         // empty: no IOMMU stands before it
  std::string iommu_type;          // "identity": its addresses go through as they are
  std::vector<std::string> above;  // the host bridge, "pci0000:3a", then bridges down to it
  // Of a bridge: whether it sends what goes from device to device up to the host (ACS). Unknown
  // where its registers cannot be read; false where it has none of that.
  std::optional<bool> redirects;
};

// A kernel interface.
struct Interface {
  uint32_t mtu = 0;
  bool up = false;  // it and its link
};

struct RdmaGid {
  uint32_t index;
  std::string address;    // "10.0.0.1" or "fe80:..."
  std::string type;       // "RoCE v2", "IB/RoCE v1"
  std::string interface;  // that it comes from
};

// A port of an RDMA device, as the kernel has it.
struct RdmaPort {
  std::string device;
  std::string port;
  std::string state;       // "ACTIVE"
  std::string link_layer;  // "Ethernet" or "InfiniBand"
  std::string pci;         // address of the device; empty: made by software
  uint32_t lid = 0;
  std::vector<RdmaGid> gids;
};

// The same as penstockd sees it, which has opened it.
struct VerbsPort {
  std::string device;
  std::string port;
  std::string fault;    // why it cannot be used; empty: it can
  std::string address;  // that peers are told
  uint64_t gid_index = 0;
  uint64_t mtu = 0;      // bytes of payload in a packet
  bool dma_buf = false;  // registers memory of other devices
};

struct Verbs {
  std::string why;  // a sentence when there are none
  std::vector<VerbsPort> ports;
};

// A path of a link that is up, as the node that runs has it.
struct Way {
  std::string peer;
  uint64_t path = 0;
  std::string port;
  uint64_t packet = 0;  // the largest of IP that has gone through, bytes
  uint64_t mtu = 0;     // of the port
  uint64_t up_ns = 0;   // since when
};

struct Ways {
  std::string why;  // a sentence when no node answers
  std::vector<Way> all;
};

struct Memlock {
  std::string whose;              // "penstockd, process 7"
  std::optional<uint64_t> limit;  // bytes; nothing: no limit
  bool known = true;              // false: it could not be read
  bool ignored = false;           // by who has CAP_IPC_LOCK
};

struct Facts {
  std::string kernel;  // "6.1.0-56-amd64"
  std::string clock_source;
  bool invariant_counter = false;
  Host host;                           // huge pages, NICs, whether there is an IOMMU
  std::optional<uint32_t> iommu_bits;  // of an address, of the narrowest that says
  Memlock memlock;
  bool node_runs = false;  // a penstockd was seen
  bool has_tun = false;
  std::vector<uint32_t> cpus;                              // online
  std::vector<uint32_t> isolated;                          // from the scheduler
  std::map<std::string, std::vector<uint32_t>> governors;  // CPUs of each
  std::map<int, std::vector<uint32_t>> nodes;              // CPUs of each NUMA node
  std::map<std::string, PciDevice> pci;                    // by address, "0000:3b:00.0"
  std::map<std::string, Interface> interfaces;
  std::vector<RdmaPort> rdma;
  std::optional<Verbs> verbs;  // nothing: nobody was asked
  std::optional<Ways> ways;    // likewise
  bool peer_memory = false;    // nvidia_peermem is loaded
  std::string config_file;
  bool config_there = false;
  std::optional<Config> config;
  std::vector<Diagnostic> config_faults;
};

}  // namespace penstock::cli
