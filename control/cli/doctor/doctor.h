// `penstock doctor`: what this host lacks, or has wrong, for a node to run well.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "control/cli/doctor/checks.h"
#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

struct DoctorOptions {
  std::string config = "/etc/penstock/penstock.toml";
  std::string root = "/";  // whose sys and proc are looked at: another in tests
  bool json = false;
  // Asks the node that runs one call of its API, without arguments; `socket` is the API's as the
  // config has it, or empty. Throws Failure. Null: nobody is asked.
  std::function<nlohmann::json(const std::string& call, const std::string& socket)> ask = {};
};

// Prints a line for each finding, with its mend below. kFailed when one is an error.
Exit doctor(const Io& io, const DoctorOptions& options);

// The rows of the checks, as they stand in README.md.
std::string checks_markdown();

}  // namespace penstock::cli
