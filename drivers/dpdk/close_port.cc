#include "drivers/dpdk/close_port.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include <rte_alarm.h>
#include <rte_ethdev.h>

namespace penstock {
namespace {

constexpr std::chrono::seconds kPatience{3};
constexpr uint64_t kStillUs = 3000;  // DPDK's own alarms come after 1 us

bool left_open = false;  // control thread only

struct Closing {
  explicit Closing(uint16_t number) : port(number) {}

  const uint16_t port;
  int last_link = -1;  // interrupt thread only
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
};

// Shared with a closer that may have lost patience: whoever is last deletes it.
using Handle = std::shared_ptr<Closing>;

void on_interrupt_thread(void* argument) {
  auto* handle = static_cast<Handle*>(argument);
  Closing& closing = **handle;
  rte_eth_link link{};
  rte_eth_link_get_nowait(closing.port, &link);
  if (link.link_status != closing.last_link) {
    closing.last_link = link.link_status;
    if (rte_eal_alarm_set(kStillUs, on_interrupt_thread, argument) == 0) return;
  }
  rte_eth_dev_stop(closing.port);
  rte_eth_dev_close(closing.port);
  {
    const std::lock_guard lock(closing.mutex);
    closing.done = true;
  }
  closing.changed.notify_one();
  delete handle;
}

}  // namespace

bool close_port(uint16_t port) {
  const auto closing = std::make_shared<Closing>(port);
  auto* handle = new Handle(closing);
  if (rte_eal_alarm_set(1, on_interrupt_thread, handle) != 0) {
    delete handle;
    rte_eth_dev_stop(port);
    rte_eth_dev_close(port);
    return true;
  }
  std::unique_lock lock(closing->mutex);
  const bool done = closing->changed.wait_for(lock, kPatience, [&] { return closing->done; });
  left_open |= !done;
  return done;
}

bool any_port_left_open() {
  return left_open;
}

}  // namespace penstock
