#include "control/daemon/service.h"

#include <systemd/sd-daemon.h>

namespace penstock {
namespace {

constexpr uint64_t kAskEveryNs = 5'000'000'000;
constexpr uint64_t kAskForUs = 30'000'000;  // also the time to end once it has drained

}  // namespace

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

void Service::draining(uint64_t now_ns) {
  if (now_ns < extend_ns_) return;
  extend_ns_ = now_ns + kAskEveryNs;
  sd_notify(0, ("EXTEND_TIMEOUT_USEC=" + std::to_string(kAskForUs)).c_str());
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
