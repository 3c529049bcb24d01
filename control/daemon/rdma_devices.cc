#include "control/daemon/rdma_devices.h"

#include <charconv>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#ifdef PENSTOCK_VERBS
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

// What the config names, or the first port that works. Empty: there is none, for the reason `why`.
VerbsPort choose(const std::string& device, std::string& why) {
  VerbsPort chosen;
  if (device != "auto") {
    const size_t colon = device.find(':');
    chosen.device = device.substr(0, colon);
    if (colon != std::string::npos)
      std::from_chars(device.data() + colon + 1, device.data() + device.size(), chosen.port);
    return chosen;
  }
  const VerbsPorts found = verbs_ports();
  why = found.why;
  for (const VerbsPort& p : found.ports) {
    if (p.fault.empty()) return p;
    why = p.fault;
  }
  return chosen;
}

}  // namespace

OrSentence<RdmaDevices> RdmaDevices::open(const RdmaOptions& options, uint32_t workers) {
  RdmaDevices devices;
  if (options.device == "none") return devices;
  std::string why;
  const VerbsPort port = choose(options.device, why);
  if (port.device.empty()) {
    spdlog::info("{}; large messages go by frames", why);
    return devices;
  }
  devices.name_ = port.port == 1 ? port.device : fmt::format("{}:{}", port.device, port.port);
  for (uint32_t w = 0; w < workers; w++) {
    auto fabric = VerbsFabric::open(
        {.device = port.device, .port = port.port, .timeout = timeout_of(options.timeout_ns)});
    if (!fabric) return sentence(fmt::format("rdma.device: {}", fabric.error()));
    devices.fabrics_.push_back(std::move(*fabric));
  }
  spdlog::info("RDMA device {}: messages from {} bytes on go by it, to nodes that have RDMA",
               devices.name_, options.from_bytes);
  return devices;
}
#else
OrSentence<RdmaDevices> RdmaDevices::open(const RdmaOptions& options, uint32_t) {
  if (options.device != "auto" && options.device != "none")
    return sentence(
        fmt::format("rdma.device: {}: penstockd was built without verbs", options.device));
  return RdmaDevices();
}
#endif

void RdmaDevices::join(Node& node) const {
  for (uint32_t w = 0; w < fabrics_.size(); w++)
    node.add_fabric(name_, w, *fabrics_[w]);
}

}  // namespace penstock
