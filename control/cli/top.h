// `penstock top`: what flows through the node now.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

// All answers of one look at the node.
struct Snapshot {
  uint64_t at_ns = 0;
  nlohmann::json node, lanes, links, ports, drops;
};

// The screen: what changed between two looks, in rates. At most `lines` lines. Pure.
std::string top_view(const Snapshot& before, const Snapshot& now, size_t lines);

struct TopOptions {
  std::string socket;
  uint64_t interval_ns = 1'000'000'000;
  uint64_t count = 0;  // screens after which it ends; 0: until q or ^C
  bool json = false;   // the node's answers, a line for each look
};

// Draws over the last screen when the output is a terminal, else one below the other.
Exit top(const Io& io, const TopOptions& options);

// Waits, at most `ns`; true: q was pressed, or ^C.
bool pause_or_quit(uint64_t ns);

}  // namespace penstock::cli
