// The node's epoch: a number that grows at every start and tells a restarted node from the one
// before. Kept in a file of the state directory.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

namespace penstock {

// Reads the file (none yet: 0), adds one, writes it back and makes sure that it is on disk before
// anybody hears of it. `known` is what others know of this node, who may have lost its disk: larger
// than that, too. The error names the file and the remedy.
tl::expected<uint64_t, std::string> next_epoch(const std::string& state_dir, uint64_t known = 0);

}  // namespace penstock
