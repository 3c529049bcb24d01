// `penstock match`: would a message to this topic be delivered to a subscriber of this filter?
#pragma once

#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

// Prints 1 or 0. What is no filter or no topic matches nothing, and a sentence says so.
Exit match_one(const Io& io, const std::string& filter, const std::string& topic);

// The same for each line of the input, "filter<TAB>topic"; a line out for each line in. Silent but
// for lines without a tab, which count as 0 and as a failure.
Exit match_lines(const Io& io);

}  // namespace penstock::cli
