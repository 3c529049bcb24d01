// The commands over the API, and their options.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "control/cli/steer.h"
#include "control/cli/wait.h"

namespace penstock::cli {

class SteerCommands {
 public:
  // `choose` is called with the command, once its arguments are read. `socket` and `json` are read
  // when it runs; all outlive this object.
  using Choose = std::function<void(std::function<Exit()>)>;
  SteerCommands(const Io& io, OpenApi open, const std::string& socket, const bool& json,
                Choose choose);

  void add_to(CLI::App& app);

  // `config diff`, and what `config show` does without a file.
  void add_config_diff(CLI::App& config);
  Exit config_running();

  // One call without arguments, to the API that the options name, else to `socket`, if any, else
  // to that of the usual socket. Throws Failure.
  nlohmann::json ask(const std::string& call, const std::string& socket);

 private:
  CLI::App* add(CLI::App& to, const std::string& name, const std::string& text,
                std::function<Exit()> command);
  CLI::App* add_look(CLI::App& to, const std::string& name, const std::string& call,
                     const std::string& text, const std::string& more);
  void add_lists(CLI::App& app);
  void add_members_remove(CLI::App& members);
  void add_health(CLI::App& app);
  void add_events(CLI::App& app);
  void add_drain(CLI::App& app);
  const SteerOptions& options();
  CLI::Option* add_watch(CLI::App* to);
  void add_timeout(CLI::App* to,
                   const std::string& text = "wait so long for an answer; 5s if not given");
  void add_time(CLI::App* to, const std::string& text, std::function<void(uint64_t)> set);

  const Io& io_;
  const OpenApi open_;
  const std::string& socket_;
  const bool& json_;
  const Choose choose_;
  SteerOptions options_;
  nlohmann::json request_ = nlohmann::json::object();
  std::string file_;
  HealthOptions health_;
  EventsOptions events_;
  std::optional<uint64_t> drain_ns_;
  uint64_t id_ = 0;
};

}  // namespace penstock::cli
