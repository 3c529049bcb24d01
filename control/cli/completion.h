// `penstock completion SHELL`: made from the commands and options themselves.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace penstock::cli {

// A script for bash, zsh or fish, which completes commands, options and their fixed values, and
// else files. Empty: no such shell.
std::string completion(const CLI::App& app, const std::string& shell);

}  // namespace penstock::cli
