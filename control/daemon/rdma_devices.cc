#include "control/daemon/rdma_devices.h"

#include <fmt/format.h>
#include <fstream>
#include <spdlog/spdlog.h>

#ifdef PENSTOCK_VERBS
#include "control/config/rdma_names.h"
#include "control/daemon/rdma_order.h"
#include "drivers/verbs/verbs_fabric.h"
#include "drivers/verbs/verbs_ports.h"
#endif

namespace penstock {

#ifdef PENSTOCK_VERBS
namespace {

// A device tries again after 4.096 us * 2^n.
uint8_t timeout_of(uint64_t ns) {
  uint8_t n = 1;
  while (n < 31 && (uint64_t{4096} << n) < ns)
    n++;
  return n;
}

// -1: it is software, or the machine does not say.
int numa_node_of(const std::string& device) {
  std::ifstream file("/sys/class/infiniband/" + device + "/device/numa_node");
  int node = -1;
  return file >> node ? node : -1;
}

// The ports that work. Empty: there are none, for the reason `why`.
std::vector<RdmaPortAt> working(std::string& why) {
  std::vector<RdmaPortAt> all;
  const VerbsPorts found = verbs_ports();
  why = found.why;
  for (const VerbsPort& p : found.ports) {
    if (p.fault.empty())
      all.push_back({p.device, p.port, numa_node_of(p.device), p.gbps});
    else
      why = p.fault;
  }
  return all;
}

std::vector<RdmaPortAt> named(const std::string& list) {
  std::vector<RdmaPortAt> all;
  for (const RdmaName& n : rdma_names(list))
    all.push_back({n.device, n.port, numa_node_of(n.device), 0});
  return all;
}

}  // namespace

OrSentence<RdmaDevices> RdmaDevices::open(const RdmaOptions& options, const Plan& plan) {
  RdmaDevices devices;
  if (options.device == "none") return devices;
  std::string why;
  const bool choose = options.device == "auto";
  const std::vector<RdmaPortAt> ports = choose ? working(why) : named(options.device);
  if (ports.empty()) {
    spdlog::info("{}; large messages go by frames", why);
    return devices;
  }
  for (uint32_t w = 0; w < plan.workers.size(); w++) {
    const auto node = static_cast<int>(plan.workers[w].numa_node);
    std::vector<std::string> names;
    for (RdmaPortAt p : choose ? nearest_first(ports, node, options.rails) : ports) {
      auto fabric = VerbsFabric::open(
          {.device = p.device, .port = p.port, .timeout = timeout_of(options.timeout_ns)});
      if (!fabric && !choose) return sentence(fmt::format("rdma.device: {}", fabric.error()));
      if (!fabric) {
        spdlog::warn("worker {}: {}; it does without that device", w, fabric.error());
        continue;
      }
      p.gbps = (*fabric)->limits().gbps;
      names.push_back(p.port == 1 ? p.device : fmt::format("{}:{}", p.device, p.port));
      devices.devices_.push_back({w, names.back(), may_carry(p, node), std::move(*fabric)});
    }
    if (!names.empty())
      spdlog::info("worker {}: messages from {} bytes on go by RDMA ({}) to nodes that have it", w,
                   options.from_bytes, fmt::join(names, ", "));
  }
  return devices;
}
#else
OrSentence<RdmaDevices> RdmaDevices::open(const RdmaOptions& options, const Plan&) {
  if (options.device != "auto" && options.device != "none")
    return sentence(
        fmt::format("rdma.device: {}: penstockd was built without verbs", options.device));
  return RdmaDevices();
}
#endif

void RdmaDevices::join(Node& node) const {
  for (const Device& d : devices_)
    node.add_fabric(d.name, d.worker, *d.fabric, d.bytes_per_s);
}

}  // namespace penstock
