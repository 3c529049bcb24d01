// The table of options as text for people.
#pragma once

#include <string>

#include "control/config/config.h"

namespace penstock {

// Every key with what it allows, its default and its text; for `penstockd --help`.
std::string help();

// A commented file: every option with its default. It parses to the defaults (node.id is 1).
std::string example();

// OPTIONS.md.
std::string markdown();

// A file that says all of `config`, defaults included.
std::string full(Config config);

}  // namespace penstock
