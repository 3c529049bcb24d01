// The checks of RDMA devices, GPUs, and of what lies between them.
#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "control/cli/doctor/checks.h"

namespace penstock::cli {

namespace {

using Findings = std::vector<Finding>;

constexpr uint32_t kNvidia = 0x10de;

std::string name_of(const RdmaPort& p) {
  return fmt::format("{} port {}", p.device, p.port);
}

bool ethernet(const RdmaPort& p) {
  return p.link_layer == "Ethernet";
}

// What penstockd says of it, if it does.
const VerbsPort* verbs_of(const Facts& f, const RdmaPort& p) {
  if (!f.verbs) return nullptr;
  for (const VerbsPort& v : f.verbs->ports)
    if (v.device == p.device && v.port == p.port) return &v;
  return nullptr;
}

// One that the driver takes: from an address of the interface, not a link-local one.
bool usable(const RdmaGid& g) {
  return g.type == "RoCE v2" && !g.address.starts_with("fe80:");
}

std::vector<std::string> gpus_of(const Facts& f) {
  constexpr uint32_t kDisplay = 0x0300, k3d = 0x0302;
  std::vector<std::string> all;
  for (const auto& [address, d] : f.pci)
    if (d.vendor == kNvidia && (d.kind >> 8 == kDisplay || d.kind >> 8 == k3d))
      all.push_back(address);
  return all;
}

// RDMA devices that are hardware, by name, with their PCI address.
std::map<std::string, std::string> adapters_of(const Facts& f) {
  std::map<std::string, std::string> all;
  for (const RdmaPort& p : f.rdma)
    if (f.pci.contains(p.pci)) all[p.device] = p.pci;
  return all;
}

// How far apart two devices are: each step a slower way.
struct Between {
  int steps;
  const char* words;
};

Between between(const PciDevice& a, const PciDevice& b) {
  size_t same = 0;
  while (same < a.above.size() && same < b.above.size() && a.above[same] == b.above[same])
    same++;
  if (same >= 2) return {0, "behind one PCI switch"};  // the host bridge, and a port of it
  if (same == 1) return {1, "behind one host bridge"};
  if (a.numa_node < 0 || b.numa_node < 0) return {2, "the machine does not say how far"};
  if (a.numa_node == b.numa_node) return {2, "on one NUMA node"};
  return {3, "on different NUMA nodes"};
}

// A NIC and the workers that serve it.
Finding to_workers(const Facts& f, const std::string& name, const PciDevice& nic) {
  const auto node = f.nodes.find(nic.numa_node);
  if (node == f.nodes.end())
    return {Level::kOk, name + ": the machine does not say which CPUs are near", ""};
  const std::string near =
      fmt::format("{}: NUMA node {}, CPUs {}", name, nic.numa_node, list_text(node->second));
  std::vector<uint32_t> far;
  if (f.config)
    for (const uint32_t cpu : f.config->workers.cpus)
      if (std::ranges::find(node->second, cpu) == node->second.end()) far.push_back(cpu);
  if (!far.empty())
    return {Level::kWarning, fmt::format("{}; workers may take CPUs {}", near, list_text(far)),
            "workers.cpus from the NIC's node; empty, they are chosen so"};
  return {Level::kOk, near, ""};
}

Finding to_gpu(const Facts& f, const std::string& gpu,
               const std::map<std::string, std::string>& adapters) {
  const PciDevice& device = f.pci.at(gpu);
  std::string nearest;
  Between best{9, ""};
  for (const auto& [name, address] : adapters)
    if (const Between b = between(device, f.pci.at(address)); b.steps < best.steps) {
      best = b;
      nearest = name;
    }
  const std::string says = fmt::format("GPU {} and {}, its nearest: {}", gpu, nearest, best.words);
  if (best.steps < 3) return {Level::kOk, says, ""};
  return {Level::kWarning, says, "an RDMA NIC on the GPU's NUMA node"};
}

}  // namespace

Findings judge_rdma_devices(const Facts& f) {
  Findings all;
  if (f.rdma.empty()) return {{Level::kOk, "no RDMA device: payloads go over UDP", ""}};
  for (const RdmaPort& p : f.rdma) {
    const std::string says =
        fmt::format("{}, {}", name_of(p), p.pci.empty() ? "made by software" : p.pci);
    const VerbsPort* v = verbs_of(f, p);
    if (!f.verbs)
      all.push_back({Level::kOk, says + "; there is no penstockd to open it", ""});
    else if (v == nullptr)
      all.push_back({Level::kWarning,
                     fmt::format("{}, which penstockd does not find{}{}", says,
                                 f.verbs->why.empty() ? "" : ": ", f.verbs->why),
                     "apt install libibverbs1 ibverbs-providers; then look at the rights of "
                     "/dev/infiniband"});
    else if (!v->fault.empty())
      all.push_back({Level::kWarning, fmt::format("{}: {}", says, v->fault),
                     "mend that, then look again with penstockd --rdma"});
    else
      all.push_back({Level::kOk, says + "; penstockd can use it", ""});
  }
  return all;
}

Findings judge_rdma_ports(const Facts& f) {
  Findings all;
  for (const RdmaPort& p : f.rdma) {
    const std::string says = fmt::format("{}: {}, {}", name_of(p), p.link_layer, p.state);
    if (p.state == "ACTIVE")
      all.push_back({Level::kOk, says, ""});
    else
      all.push_back({Level::kWarning, says,
                     ethernet(p) ? "ip link set its interface up; then look at the cable"
                                 : "look at the cable, then for the subnet manager (sminfo)"});
  }
  return all;
}

Findings judge_rdma_addresses(const Facts& f) {
  Findings all;
  for (const RdmaPort& p : f.rdma) {
    if (!ethernet(p)) {
      all.push_back({p.lid != 0 ? Level::kOk : Level::kWarning,
                     fmt::format("{}: {}", name_of(p),
                                 p.lid != 0 ? fmt::format("LID {}", p.lid) : "has no LID yet"),
                     p.lid != 0 ? "" : "a subnet manager gives it one: start opensm"});
      continue;
    }
    std::string found;
    for (const RdmaGid& g : p.gids)
      if (usable(g))
        found += fmt::format("{}GID {} is {}, {} of {}", found.empty() ? "" : "; ", g.index, g.type,
                             g.address, g.interface);
    if (!found.empty())
      all.push_back({Level::kOk, fmt::format("{}: {}", name_of(p), found), ""});
    else
      all.push_back({Level::kWarning, name_of(p) + " has no RoCE v2 address",
                     "give its interface an IP address: ip address add"});
  }
  return all;
}

Findings judge_rdma_mtu(const Facts& f) {
  constexpr uint32_t kAround =
      74;  // bytes of headers in a RoCE packet, at most, beside the payload
  Findings all;
  for (const RdmaPort& p : f.rdma) {
    const auto gid = std::ranges::find_if(p.gids, usable);
    if (!ethernet(p) || gid == p.gids.end() || !f.interfaces.contains(gid->interface)) continue;
    const uint32_t mtu = f.interfaces.at(gid->interface).mtu;
    uint64_t fits = 4096;
    while (fits > 256 && fits + kAround > mtu)
      fits /= 2;
    // The device knows better.
    if (const VerbsPort* v = verbs_of(f, p); v != nullptr && v->mtu != 0) fits = v->mtu;
    const std::string says = fmt::format("{}: packets of {} bytes over {}, mtu {}", name_of(p),
                                         fits, gid->interface, mtu);
    if (fits >= 1024)
      all.push_back({Level::kOk, says, ""});
    else
      all.push_back({Level::kWarning, says,
                     fmt::format("ip link set {} mtu 1500; 4200 takes the largest, 4096, if every "
                                 "switch does too",
                                 gid->interface)});
  }
  return all;
}

Findings judge_acs(const Facts& f) {
  const std::vector<std::string> gpus = gpus_of(f);
  const auto adapters = adapters_of(f);
  if (gpus.empty() || adapters.empty())
    return {{Level::kOk, "no GPU beside an RDMA device, so nothing goes between them", ""}};
  std::set<std::string> above;
  for (const std::string& gpu : gpus)
    above.insert(f.pci.at(gpu).above.begin(), f.pci.at(gpu).above.end());
  for (const auto& [name, address] : adapters)
    above.insert(f.pci.at(address).above.begin(), f.pci.at(address).above.end());
  std::string redirect, unknown;
  for (const std::string& bridge : above) {
    const auto found = f.pci.find(bridge);
    if (found == f.pci.end()) continue;
    if (!found->second.redirects) unknown += (unknown.empty() ? "" : ", ") + bridge;
    if (found->second.redirects.value_or(false))
      redirect += (redirect.empty() ? "" : ", ") + bridge;
  }
  if (!redirect.empty())
    return {{Level::kWarning,
             "ACS sends what goes between NIC and GPU by way of the host: bridges " + redirect,
             "turn ACS off in the firmware, or setpci -s BRIDGE ECAP_ACS+6.w=0 at each boot"}};
  if (!unknown.empty())
    return {{Level::kWarning, "the registers of bridges cannot be read: " + unknown,
             "run penstock doctor as root"}};
  return {{Level::kOk, "no bridge above a NIC or a GPU redirects", ""}};
}

Findings judge_gpu_memory(const Facts& f) {
  const std::vector<std::string> gpus = gpus_of(f);
  if (gpus.empty()) return {{Level::kOk, "no NVIDIA GPU here", ""}};
  if (f.rdma.empty())
    return {
        {Level::kOk, fmt::format("{} GPU(s), and no RDMA device to read them", gpus.size()), ""}};
  for (const RdmaPort& p : f.rdma)
    if (const VerbsPort* v = verbs_of(f, p); v != nullptr && v->dma_buf)
      return {{Level::kOk, name_of(p) + " registers dma-bufs", ""}};
  if (f.peer_memory) return {{Level::kOk, "nvidia_peermem is loaded", ""}};
  return {{Level::kWarning,
           "nvidia_peermem is not loaded, and no RDMA device is known to register dma-bufs",
           "modprobe nvidia-peermem, which comes with NVIDIA's driver; or Linux 5.12 and its open "
           "driver"}};
}

Findings judge_distance(const Facts& f) {
  Findings all;
  const auto adapters = adapters_of(f);
  if (f.config)
    for (const PortOptions& p : f.config->ports)
      if (const auto nic = f.pci.find(device_of(p, "pci")); nic != f.pci.end())
        all.push_back(to_workers(f, p.name, nic->second));
  for (const auto& [name, address] : adapters)
    all.push_back(to_workers(f, name, f.pci.at(address)));
  for (const std::string& gpu : gpus_of(f))
    if (!adapters.empty()) all.push_back(to_gpu(f, gpu, adapters));
  return all;
}

}  // namespace penstock::cli
