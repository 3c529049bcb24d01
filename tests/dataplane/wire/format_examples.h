// The example frames of FORMAT.md: the blocks that start with "```hex NAME".
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace penstock {

// Name to bytes; empty when the file cannot be read or a block is not well formed.
std::map<std::string, std::vector<std::byte>> format_examples();

}  // namespace penstock
