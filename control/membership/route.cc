#include "control/membership/route.h"

#include "control/config/address.h"

namespace penstock {

std::optional<PeerOptions> route(const std::vector<PortOptions>& ours, const Member& member) {
  for (const bool by_gateway : {false, true}) {
    for (const PortOptions& port : ours) {
      for (const MemberPort& there : member.ports) {
        if (there.address.family != port.address.address.family ||
            there.address == port.address.address)
          continue;
        if (by_gateway ? !port.gateway : !contains(port.address, there.address)) continue;
        PeerOptions peer;
        peer.id = member.id;
        peer.name = member.name;
        peer.port = port.name;
        peer.address = there.address;
        peer.udp_port = there.udp_port;
        return peer;
      }
    }
  }
  return std::nullopt;
}

}  // namespace penstock
