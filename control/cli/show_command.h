// `penstock show` and `penstock topology`: questions to the node.
#pragma once

#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

struct ShowOptions {
  std::string socket;
  std::string what;    // lanes, links, ports, clients, drops or node
  bool json = false;   // the node's answer as it is
  bool watch = false;  // again each second, until q or ^C
};

Exit show_command(const Io& io, const ShowOptions& options);

Exit topology(const Io& io, const std::string& socket, bool json);

}  // namespace penstock::cli
