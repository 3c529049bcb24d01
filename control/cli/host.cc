#include "control/cli/host.h"

#include <algorithm>
#include <arpa/inet.h>
#include <bit>
#include <fmt/format.h>
#include <hwloc.h>
#include <ifaddrs.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "control/cli/sysfs.h"

namespace penstock::cli {

namespace {

namespace fs = std::filesystem;

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

// Null when hwloc does not start.
Topology machine(bool with_devices) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return {nullptr, hwloc_topology_destroy};
  Topology topology(raw, hwloc_topology_destroy);
  if (with_devices) hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  if (hwloc_topology_load(raw) != 0) topology.reset();
  return topology;
}

uint32_t count(hwloc_topology_t topology, hwloc_obj_type_t type) {
  return static_cast<uint32_t>(std::max(0, hwloc_get_nbobjs_by_type(topology, type)));
}

// Where virtio has its interface a level deeper.
fs::path interface_of(const fs::path& device) {
  std::vector<fs::path> folders = {device / "net"};
  for (const fs::path& e : entries(device))
    if (e.filename().string().starts_with("virtio")) folders.push_back(e / "net");
  for (const fs::path& folder : folders)
    if (const auto all = entries(folder); !all.empty()) return all.front();
  return {};
}

// "10.0.0.5/24, fd00::5/64", without those that only hold on the link.
std::string addresses_of(const std::string& interface) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return "";
  std::string out;
  for (const ifaddrs* a = all; a != nullptr; a = a->ifa_next) {
    if (a->ifa_addr == nullptr || a->ifa_netmask == nullptr || interface != a->ifa_name) continue;
    const auto bytes = [&](const sockaddr* s) -> const uint8_t* {
      if (s->sa_family == AF_INET)
        return reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in*>(s)->sin_addr);
      return reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in6*>(s)->sin6_addr);
    };
    const int family = a->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const uint8_t* address = bytes(a->ifa_addr);
    if (family == AF_INET6 && address[0] == 0xfe && (address[1] & 0xc0) == 0x80) continue;
    int bits = 0;
    for (int i = 0; i < (family == AF_INET ? 4 : 16); i++)
      bits += std::popcount(bytes(a->ifa_netmask)[i]);
    char text[INET6_ADDRSTRLEN];
    inet_ntop(family, address, text, sizeof text);
    out += fmt::format("{}{}/{}", out.empty() ? "" : ", ", text, bits);
  }
  freeifaddrs(all);
  return out;
}

Nic nic_at(const fs::path& device) {
  std::error_code none;
  const fs::path interface = interface_of(device);
  Nic nic;
  nic.pci = device.filename();
  nic.driver = target_of(device / "driver");
  nic.interface = interface.filename();
  if (!nic.interface.empty()) nic.addresses = addresses_of(nic.interface);
  nic.numa_node = static_cast<int>(number_in(device / "numa_node", -1));
  nic.enslaved = !interface.empty() && fs::exists(interface / "master", none);
  return nic;
}

}  // namespace

Host look_at_host(const fs::path& sys) {
  Host host;
  char name[256] = "";
  if (gethostname(name, sizeof name - 1) == 0) host.name = name;
  if (const Topology topology = machine(false)) {
    host.cores = count(topology.get(), HWLOC_OBJ_CORE);
    host.threads = count(topology.get(), HWLOC_OBJ_PU);
    host.numa_nodes = count(topology.get(), HWLOC_OBJ_NUMANODE);
  }
  host.iommu = !entries(sys / "class/iommu").empty();
  for (const fs::path& size : entries(sys / "kernel/mm/hugepages")) {
    const std::string folder = size.filename();  // hugepages-2048kB
    uint64_t kib = 0;
    if (std::sscanf(folder.c_str(), "hugepages-%lukB", &kib) == 1)
      host.huge_pages.push_back({kib, static_cast<uint64_t>(number_in(size / "nr_hugepages")),
                                 static_cast<uint64_t>(number_in(size / "free_hugepages"))});
  }
  for (const fs::path& device : entries(sys / "bus/pci/devices"))
    if (line_of(device / "class").starts_with("0x0200")) host.nics.push_back(nic_at(device));
  return host;
}

nlohmann::json to_json(const Host& host) {
  nlohmann::json pages = nlohmann::json::array();
  for (const HugePageSize& p : host.huge_pages)
    pages.push_back({{"kib", p.kib}, {"total", p.total}, {"free", p.free}});
  nlohmann::json nics = nlohmann::json::array();
  for (const Nic& n : host.nics)
    nics.push_back({{"pci", n.pci},
                    {"driver", n.driver},
                    {"interface", n.interface},
                    {"addresses", n.addresses},
                    {"numa_node", n.numa_node},
                    {"in_use", n.in_use()}});
  return {{"name", host.name},
          {"cores", host.cores},
          {"threads", host.threads},
          {"numa_nodes", host.numa_nodes},
          {"iommu", host.iommu},
          {"huge_pages", pages},
          {"nics", nics}};
}

std::string topology_xml() {
  const Topology topology = machine(true);
  char* text = nullptr;
  int len = 0;
  if (topology == nullptr || hwloc_topology_export_xmlbuffer(topology.get(), &text, &len, 0) != 0)
    return "";
  std::string out = text;
  hwloc_free_xmlbuffer(topology.get(), text);
  return out;
}

}  // namespace penstock::cli
