// How `penstock` ends: its exit codes, and the failure that leads to one.
#pragma once

#include <stdexcept>
#include <string>

namespace penstock::cli {

enum class Exit : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNoNode = 3,
  kTimeout = 4,
  kMissed = 5,
};

inline constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0  done\n"
    "  1  refused or failed; one sentence on standard error says why\n"
    "  2  wrong usage\n"
    "  3  no node: none at the socket, it went away, or took a right away\n"
    "  4  time was up: nothing came, nobody took it, or the node did not answer\n"
    "  5  messages were missed, or the subscription was ended by the node; each gap was told on\n"
    "     standard error\n";

// Ends the program with a code and a sentence. Thrown by any command, caught in run().
struct Failure : std::runtime_error {
  Failure(Exit why, const std::string& sentence) : std::runtime_error(sentence), code(why) {}
  Exit code;
};

}  // namespace penstock::cli
