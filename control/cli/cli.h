// The program `penstock`: from arguments to a command and its exit code.
#pragma once

#include <string>
#include <vector>

#include "control/cli/io.h"
#include "control/cli/steer.h"

namespace penstock::cli {

// `arguments` without the program's name. What goes wrong is one sentence on io.err.
int run(const std::vector<std::string>& arguments, const Io& io, const OpenApi& open);

}  // namespace penstock::cli
