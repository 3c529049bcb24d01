// `penstock init`: a config and directories for this host.
#pragma once

#include <cstdint>
#include <string>

#include "control/cli/exit.h"
#include "control/cli/host.h"
#include "control/cli/io.h"

namespace penstock::cli {

struct InitOptions {
  std::string config = "/etc/penstock/penstock.toml";
  std::string socket;     // empty: the default of node.socket
  std::string state_dir;  // likewise
  uint32_t id = 0;        // 0: drawn at random
  bool force = false;     // replace a config that is there
  bool dry_run = false;   // print, write nothing
  bool json = false;
};

// The commented config for `host`, every option in it, its NICs as ports that are commented out.
std::string config_for(const Host& host, const InitOptions& options);

// Writes it and makes the directories that it names; as root they become those of user penstock,
// if there is one. Throws Failure.
Exit init(const Io& io, const InitOptions& options);

}  // namespace penstock::cli
