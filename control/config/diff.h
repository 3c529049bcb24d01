// What differs between two configs, option by option.
#pragma once

#include <string>
#include <vector>

#include "control/config/load.h"

namespace penstock {

struct OptionChange {
  std::string key;     // "lane.ring"; of a port or peer with its name, "port p0.mtu"
  std::string before;  // as it is written in a file; empty: it is not there
  std::string after;   // likewise
  bool live = false;   // applies while the node runs; else it waits for a restart
};

// What was there first, then what is new. Ports are the same when their names are, peers when their
// ids are.
std::vector<OptionChange> changes(Config before, Config after);

// A file against the config that runs.
struct Comparison {
  std::vector<Diagnostic> faults;  // of the file; then there are no changes
  std::vector<OptionChange> changes;
};
inline Comparison compare(const Config& running, const Loaded& file) {
  if (!file) return {file.error(), {}};
  return {{}, changes(running, *file)};
}

}  // namespace penstock
