// What no row can say of itself: options that must agree with each other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/config/load.h"

namespace penstock {

// Where each key stands: "lane.ring", "port.0.name", and "port.0" for the table itself.
using Lines = std::map<std::string, uint32_t>;

// Fills in what follows from other options (names, the only port), then
// appends what does not agree.
void complete_and_check(Config& config, const Lines& lines, const std::string& file,
                        std::vector<Diagnostic>& out);

}  // namespace penstock
