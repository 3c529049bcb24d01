// The commands that an installation needs: init, doctor, run, bundle, completion, man. All but
// bundle need no node.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "control/cli/bundle.h"
#include "control/cli/doctor/doctor.h"
#include "control/cli/exit.h"
#include "control/cli/init.h"
#include "control/cli/io.h"

namespace penstock::cli {

class HostCommands {
 public:
  // Adds them to `app`; the one that is called goes to `chosen`, to be run after the parsing.
  // `socket` and `json` are the program's own options; all outlive this. `ask` is doctor's.
  HostCommands(CLI::App& app, const Io& io, const std::string& socket, const bool& json,
               std::function<Exit()>& chosen, decltype(DoctorOptions::ask) ask);
  HostCommands(const HostCommands&) = delete;
  HostCommands& operator=(const HostCommands&) = delete;

 private:
  CLI::App* add(const std::string& name, const std::string& text, std::function<Exit()> command);
  Exit print(const std::string& text);

  CLI::App& app_;
  const Io& io_;
  std::function<Exit()>& chosen_;
  InitOptions init_;
  DoctorOptions doctor_;
  BundleOptions bundle_;
  std::string run_config_;
  std::string shell_;
  std::string page_;
};

}  // namespace penstock::cli
