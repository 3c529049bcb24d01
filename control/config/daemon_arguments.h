// The command line of penstockd, for the daemon and for its man page.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace penstock {

struct DaemonArguments {
  std::string config;
  bool check = false;
  bool topology = false;
  bool rdma = false;
};

inline constexpr const char* kDaemonText =
    "The Penstock node: moves messages between programs on this host and its peers.";

inline constexpr const char* kDaemonExitText =
    "Exit codes: 0 stopped as asked; 2 wrong usage or config; 3 placement, DPDK or a port failed;\n"
    "4 the attach socket, the API or metrics.listen failed; 5 the state directory or the store's "
    "options "
    "failed; 6 out of memory or descriptors.";

// `to` outlives the parsing.
void declare(CLI::App& app, DaemonArguments& to);

}  // namespace penstock
