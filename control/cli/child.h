// Other programs: found, run, or become.
#pragma once

#include <string>
#include <vector>

namespace penstock::cli {

// Runs `command`, its first word looked up in PATH, with its output and errors in file `output`.
// Returns its exit status; 127 when it is not there.
int run_child(const std::vector<std::string>& command, const std::string& output);

// penstockd as a command: the one beside this program, else its name, for PATH.
std::string daemon_program();

// Becomes penstockd with these arguments. Throws Failure when there is none.
[[noreturn]] void become_daemon(const std::vector<std::string>& arguments);

}  // namespace penstock::cli
