#include "control/daemon/rdma_report.h"

#include <nlohmann/json.hpp>

#ifdef PENSTOCK_VERBS
#include "drivers/verbs/verbs_ports.h"
#endif

namespace penstock {

std::string rdma_report() {
  nlohmann::json ports = nlohmann::json::array();
#ifdef PENSTOCK_VERBS
  const VerbsPorts found = verbs_ports();
  for (const VerbsPort& p : found.ports)
    ports.push_back({{"device", p.device},
                     {"port", p.port},
                     {"fault", p.fault},
                     {"address", p.address},
                     {"gid_index", p.gid_index},
                     {"mtu", p.mtu},
                     {"dma_buf", p.dma_buf}});
  const std::string& why = found.why;
#else
  const std::string why = "no RDMA device: penstockd was built without verbs";
#endif
  return nlohmann::json({{"why", why}, {"ports", ports}}).dump();
}

}  // namespace penstock
