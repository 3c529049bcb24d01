#include <algorithm>

#include "drivers/dpdk/buffers.h"
#include "drivers/dpdk/eal.h"

namespace penstock {

uint64_t buffers_needed(std::span<const PortSpec> ports) {
  constexpr uint64_t kForDpdk = uint64_t{32} << 20;  // its heap, queues, and pools' rounding
  uint64_t bytes = kForDpdk;
  for (const PortSpec& port : ports)
    bytes += plan_buffers(port).bytes() * 9 / 8;
  return bytes;
}

std::vector<std::string> eal_arguments(const Plan& plan, const EalOptions& options, bool huge,
                                       const std::string& prefix) {
  std::vector<std::string> out = {
      "penstock",
      "--lcores=" + plan.lcores,
      "--iova-mode=va",
      "--no-telemetry",
      "--file-prefix=" + prefix,
      "--log-level=warning",
      // One file for all memory: what virtio-user can show to its peer.
      "--single-file-segments",
  };
  bool any_pci = false;
  for (const PortSpec& port : options.ports) {
    if (port.kind != PortKind::kPci) continue;
    any_pci = true;
    out.push_back("--allow=" + port.target);
  }
  if (!any_pci) out.push_back("--no-pci");
  if (huge) {
    out.push_back("--in-memory");  // no hugetlbfs mount, and nothing left behind by a kill
  } else {
    constexpr uint64_t kMiB = uint64_t{1} << 20;
    const uint64_t bytes = std::max(options.buffers_bytes, buffers_needed(options.ports));
    out.push_back("--no-huge");
    out.push_back("--no-shconf");
    out.push_back("-m");
    out.push_back(std::to_string((bytes + kMiB - 1) / kMiB));
  }
  return out;
}

}  // namespace penstock
