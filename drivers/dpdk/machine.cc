#include "drivers/dpdk/machine.h"

#include <algorithm>
#include <hwloc.h>
#include <memory>

namespace penstock {
namespace {

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;
using Bitmap = std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)>;

OrSentence<Topology> load(const PlacementRequest& request) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return sentence("hwloc does not start");
  Topology topology(raw, hwloc_topology_destroy);
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  int rc = 0;
  if (!request.synthetic.empty()) rc = hwloc_topology_set_synthetic(raw, request.synthetic.c_str());
  if (!request.xml.empty()) {
    rc = hwloc_topology_set_xmlbuffer(raw, request.xml.c_str(),
                                      static_cast<int>(request.xml.size() + 1));
  }
  if (rc != 0 || hwloc_topology_load(raw) != 0) {
    return sentence("hwloc cannot read the machine's description");
  }
  return topology;
}

std::vector<uint32_t> numbers(hwloc_const_bitmap_t bits) {
  std::vector<uint32_t> out;
  for (int i = hwloc_bitmap_first(bits); i >= 0; i = hwloc_bitmap_next(bits, i)) {
    out.push_back(static_cast<uint32_t>(i));
  }
  return out;
}

// hwloc knows the cgroup's limits but not taskset's.
Bitmap usable_cpus(hwloc_topology_t topology, bool this_machine) {
  Bitmap usable(hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology)), hwloc_bitmap_free);
  if (!this_machine) return usable;
  Bitmap bound(hwloc_bitmap_alloc(), hwloc_bitmap_free);
  if (hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) == 0) {
    hwloc_bitmap_and(usable.get(), usable.get(), bound.get());
  }
  return usable;
}

std::string all_pci_devices(hwloc_topology_t topology) {
  std::string out;
  for (hwloc_obj_t dev = nullptr; (dev = hwloc_get_next_pcidev(topology, dev)) != nullptr;) {
    constexpr unsigned kNetworkClass = 0x02;
    const auto& pci = dev->attr->pcidev;
    if (pci.class_id >> 8 != kNetworkClass) continue;
    char address[32];
    snprintf(address, sizeof address, "%04x:%02x:%02x.%01x", pci.domain, pci.bus, pci.dev,
             pci.func);
    out += out.empty() ? address : std::string(", ") + address;
  }
  return out.empty() ? "none" : out;
}

OrSentence<Machine::Nic> find_nic(hwloc_topology_t topology, hwloc_const_bitmap_t usable,
                                  const std::string& address) {
  hwloc_obj_t dev = hwloc_get_pcidev_by_busidstring(topology, address.c_str());
  if (dev == nullptr) {
    return sentence("no PCI device " + address +
                    "; network devices here: " + all_pci_devices(topology));
  }
  hwloc_obj_t place = hwloc_get_non_io_ancestor_obj(topology, dev);
  Bitmap near(hwloc_bitmap_dup(place->cpuset), hwloc_bitmap_free);
  hwloc_bitmap_and(near.get(), near.get(), usable);
  return Machine::Nic{address, numbers(near.get()), place->type != HWLOC_OBJ_MACHINE};
}

uint32_t count(hwloc_topology_t topology, hwloc_obj_type_t type) {
  return static_cast<uint32_t>(std::max(0, hwloc_get_nbobjs_by_type(topology, type)));
}

}  // namespace

OrSentence<Machine> read_machine(const PlacementRequest& request) {
  auto topology = load(request);
  if (!topology) return sentence(topology.error());
  hwloc_topology_t t = topology->get();
  const Bitmap usable = usable_cpus(t, request.synthetic.empty() && request.xml.empty());

  Machine machine;
  machine.packages = count(t, HWLOC_OBJ_PACKAGE);
  machine.numa_nodes = count(t, HWLOC_OBJ_NUMANODE);
  const hwloc_obj_type_t type = count(t, HWLOC_OBJ_CORE) != 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
  for (hwloc_obj_t core = nullptr; (core = hwloc_get_next_obj_by_type(t, type, core)) != nullptr;) {
    Bitmap cpus(hwloc_bitmap_dup(core->cpuset), hwloc_bitmap_free);
    hwloc_bitmap_and(cpus.get(), cpus.get(), usable.get());
    if (hwloc_bitmap_iszero(cpus.get())) continue;
    const int node = hwloc_bitmap_first(core->nodeset);
    machine.cores.push_back({static_cast<uint32_t>(std::max(0, node)), numbers(cpus.get())});
  }
  if (machine.cores.empty()) return sentence("this process may not use any CPU");
  for (const std::string& address : request.pci) {
    auto nic = find_nic(t, usable.get(), address);
    if (!nic) return sentence(nic.error());
    machine.nics.push_back(*std::move(nic));
  }
  return machine;
}

}  // namespace penstock
