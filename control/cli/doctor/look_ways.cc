#include <map>

#include "control/cli/doctor/look.h"
#include "control/cli/json_fields.h"

namespace penstock::cli {

Ways ways_in(const nlohmann::json& links, const nlohmann::json& ports) {
  constexpr uint64_t kIpv4 = 20, kIpv6 = 40, kUdp = 8;  // bytes of headers
  Ways ways;
  try {
    std::map<std::string, uint64_t> mtu;
    for (const nlohmann::json& p : list(ports, "ports"))
      mtu[str(p, "name")] = num(p, "mtu");
    for (const nlohmann::json& l : list(links, "links")) {
      if (str(l, "state") != "up" || num(l, "frame") == 0) continue;
      const uint64_t headers = kUdp + (str(l, "local").starts_with("[") ? kIpv6 : kIpv4);
      ways.all.push_back({str(l, "peer"), num(l, "path"), str(l, "port"), num(l, "frame") + headers,
                          mtu[str(l, "port")], num(l, "up_ns")});
    }
  } catch (const nlohmann::json::exception&) {
    return {"the node is of another version and its answer not understood", {}};
  }
  return ways;
}

}  // namespace penstock::cli
