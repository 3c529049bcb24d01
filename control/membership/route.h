// Which of our ports leads to a member, and where to.
#pragma once

#include <optional>
#include <vector>

#include "control/config/config.h"
#include "control/membership/member.h"

namespace penstock {

// The first of our ports that has one of the member's in its own network, else the first with a
// gateway and an address of the same family. None: no way leads there.
std::optional<PeerOptions> route(const std::vector<PortOptions>& ours, const Member& member);

}  // namespace penstock
