#include "control/cli/host_commands.h"

#include "control/cli/child.h"
#include "control/cli/completion.h"
#include "control/cli/manual.h"

namespace penstock::cli {

HostCommands::HostCommands(CLI::App& app, const Io& io, const std::string& socket, const bool& json,
                           std::function<Exit()>& chosen, decltype(DoctorOptions::ask) ask)
    : app_(app), io_(io), chosen_(chosen) {
  doctor_.ask = std::move(ask);
  CLI::App* init_command =
      add("init", "write a commented config for this host, and make its directories", [&, this] {
        init_.socket = socket;
        init_.json = json;
        return init(io_, init_);
      });
  init_command->add_option("-c,--config", init_.config, "the file to write")->capture_default_str();
  init_command->add_option("--id", init_.id, "number of the node; drawn at random if not given")
      ->check(CLI::Range(uint32_t{1}, UINT32_MAX));
  init_command->add_option("--state-dir", init_.state_dir,
                           "directory for what outlives a restart; else /var/lib/penstock");
  init_command->add_flag("--force", init_.force, "replace a config that is there");
  init_command->add_flag("--dry-run", init_.dry_run, "print the config, write nothing");

  CLI::App* doctor_command =
      add("doctor", "say what this host lacks for a node, and what mends it", [&, this] {
        doctor_.json = json;
        return doctor(io_, doctor_);
      });
  doctor_command->add_option("-c,--config", doctor_.config, "config of the daemon")
      ->capture_default_str();
  doctor_command
      ->add_option("--root", doctor_.root, "look at the sys and proc in this directory instead")
      ->capture_default_str();
  doctor_command->footer(
      "A line for each thing: ok, warning (it runs, not as well as it could) or error (it does\n"
      "not run). Exit code 1 when there is an error.");

  CLI::App* run_command = add("run", "become the daemon, penstockd", [this] {
    io_.out.flush();
    become_daemon({"--config", run_config_});
    return Exit::kFailed;
  });
  run_command->add_option("-c,--config", run_config_, "its config")
      ->default_val(InitOptions().config);

  CLI::App* bundle_command =
      add("bundle", "pack what support needs into an archive, without secrets", [&, this] {
        bundle_.socket = socket;
        bundle_.json = json;
        return bundle(io_, bundle_);
      });
  bundle_command->add_option("-c,--config", bundle_.config, "config of the daemon")
      ->capture_default_str();
  bundle_command->add_option("-o,--output", bundle_.output,
                             "the archive; else penstock-bundle-HOST-TIME.tar.gz");

  add("completion", "print a script that completes commands in a shell",
      [this] { return print(completion(app_, shell_)); })
      ->add_option("shell", shell_, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));

  add("man", "print a man page, for man -l -",
      [this] {
        if (page_ == "penstock") return print(manual_penstock(app_));
        return print(page_ == "penstockd" ? manual_penstockd() : manual_config());
      })
      ->add_option("page", page_, "penstock, penstockd or penstock.toml")
      ->required()
      ->check(CLI::IsMember({"penstock", "penstockd", "penstock.toml"}));
}

CLI::App* HostCommands::add(const std::string& name, const std::string& text,
                            std::function<Exit()> command) {
  CLI::App* sub = app_.add_subcommand(name, text);
  sub->callback([this, command = std::move(command)] { chosen_ = command; });
  return sub;
}

Exit HostCommands::print(const std::string& text) {
  io_.out << text;
  return Exit::kOk;
}

}  // namespace penstock::cli
