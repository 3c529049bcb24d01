#include "control/config/daemon_arguments.h"

#include <CLI/CLI.hpp>

namespace penstock {

void declare(CLI::App& app, DaemonArguments& to) {
  app.add_option("--config,-c", to.config, "TOML file; see below for its keys")
      ->default_val("/etc/penstock/penstock.toml");
  app.add_flag("--check", to.check, "check the config and exit");
  app.add_flag("--topology", to.topology, "print which CPU each worker gets, and why, and exit");
  app.add_flag("--rdma", to.rdma, "print what a node can use of RDMA, as JSON, and exit");
}

}  // namespace penstock
