// What the programs of the job say on their standard output (a JSON object a line) and leave
// behind.
#pragma once

#include <fmt/format.h>

#include "control/demo/job.h"
#include "control/demo/model.h"

namespace penstock::demo {

// Prints the line at once, also into a pipe.
void print_line(const std::string& json);

// The weights as raw floats, layer after layer; an empty path writes nothing.
Outcome write_weights(const Layers& weights, const std::filesystem::path& file);

// Waits until whoever started this program lets it go by closing its standard input.
void wait_for_end_of_input();

}  // namespace penstock::demo
