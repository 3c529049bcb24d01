#include "control/cli/interrupt.h"

#include <csignal>

#include "dataplane/base/stop_flag.h"

namespace penstock::cli {

namespace {

StopFlag g_stop;

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop.set(); };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

bool interrupted() {
  return g_stop.is_set();
}

}  // namespace penstock::cli
