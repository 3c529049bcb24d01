// The table of options as text for people.
#pragma once

#include <map>
#include <string>

#include "control/config/config.h"

namespace penstock {

// Every key with what it allows, its default and its text; for `penstockd --help`.
std::string help();

// A commented file: every option with its default, or with what `values` has for its key, written
// as in the file. Without them it parses to the defaults (node.id is 1).
std::string example(const std::map<std::string, std::string>& values = {});

// OPTIONS.md.
std::string markdown();

// A file that says all of `config`, defaults included.
std::string full(Config config);

}  // namespace penstock
