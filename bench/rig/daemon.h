// A penstockd for a measurement: its own folder, socket and config, no network. It ends with us.
#pragma once

#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/rig/sides.h"
#include "bench/rig/temporary.h"

namespace penstock::bench {

// The build folder, seen from a program in bench/rig.
inline std::string build_folder() {
  char self[PATH_MAX] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) die("readlink");
  return std::filesystem::path(self).parent_path().parent_path().parent_path();
}

class Daemon {
 public:
  Daemon() {
    folder_ = temporary("XXXXXX");
    if (mkdtemp(folder_.data()) == nullptr) die("mkdtemp");
    const std::string config = folder_ + "/node.toml";
    std::ofstream(config) << "[node]\nid = 1\nsocket = \"" << socket() << "\"\nstate_dir = \""
                          << folder_ << "\"\n";
    const std::string program = build_folder() + "/control/daemon/penstockd";
    child_ = fork();
    if (child_ < 0) die("fork");
    if (child_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (std::freopen((folder_ + "/log").c_str(), "w", stderr) == nullptr) std::_Exit(1);
    execl(program.c_str(), "penstockd", "--config", config.c_str(), nullptr);
    std::_Exit(127);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() {
    if (getpid() != owner_) return;
    kill(child_, SIGTERM);
    waitpid(child_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string socket() const { return folder_ + "/socket"; }
  pid_t pid() const { return child_; }

 private:
  std::string folder_;
  pid_t owner_ = getpid();  // not the other side, which a fork made
  pid_t child_ = -1;
};

}  // namespace penstock::bench
