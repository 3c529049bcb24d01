// Peer: a dpdk_peer process of the test, gone when the object is.
#pragma once

#include <string>
#include <sys/types.h>

namespace penstock {

class Peer {
 public:
  // Where the executable is; eal_main.cc sets it from the command line.
  static std::string executable;

  explicit Peer(const std::string& port);  // returns when its port is open, or it has failed
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { end(); }

  bool ready() const { return ready_; }
  void stop();  // SIGSTOP
  void kill();  // SIGKILL, and waits until it is gone
  int end();    // lets it end by itself; its exit code, or -1

 private:
  pid_t pid_ = -1;
  int to_ = -1;
  bool ready_ = false;
};

}  // namespace penstock
