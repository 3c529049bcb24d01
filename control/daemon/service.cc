#include "control/daemon/service.h"

#include <systemd/sd-daemon.h>

namespace penstock {

Service::Service() {
  uint64_t us = 0;
  if (sd_watchdog_enabled(0, &us) > 0) interval_ns_ = us * 1000 / 3;
}

void Service::ready(const std::string& status) {
  sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
}

void Service::reloading() {
  sd_notify(0, "RELOADING=1");
}

void Service::reloaded() {
  sd_notify(0, "READY=1");
}

void Service::stopping() {
  sd_notify(0, "STOPPING=1\nSTATUS=stopping");
}

void Service::poll(Node& node, uint64_t now_ns) {
  if (interval_ns_ == 0 || now_ns - looked_ns_ < interval_ns_) return;
  looked_ns_ = now_ns;
  turns_.resize(node.worker_count(), 0);
  for (uint32_t i = 0; i < node.worker_count(); i++)
    if (node.worker(i).stats().turns.read() == turns_[i]) return;
  for (uint32_t i = 0; i < node.worker_count(); i++)
    turns_[i] = node.worker(i).stats().turns.read();
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace penstock
