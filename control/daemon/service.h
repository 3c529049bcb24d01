// What the service manager that started the daemon hears of it (systemd, Type=notify). Where none
// did, every call does nothing. The control thread's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/node/node.h"

namespace penstock {

class Service {
 public:
  Service();

  // Clients may attach. `status` is a line for `systemctl status`.
  void ready(const std::string& status);
  void reloading();
  void reloaded();
  void stopping();
  // In each turn of the control loop while the node drains: has the manager wait as long as that
  // takes, not its own limit only (TimeoutStopSec). One that hangs is not waited for.
  void draining(uint64_t now_ns);

  // In each turn of the control loop. Three times in the watchdog's interval it says that the node
  // lives, if every worker has made a turn since the last time: a node of which one worker hangs is
  // restarted.
  void poll(Node& node, uint64_t now_ns);

 private:
  uint64_t interval_ns_ = 0;  // 0: there is no watchdog
  uint64_t looked_ns_ = 0;
  uint64_t extend_ns_ = 0;       // when to ask for more time again
  std::vector<uint64_t> turns_;  // of each worker, at the last word
};

}  // namespace penstock
