// The part of DpdkDevice that waits for peers and that ends.
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include "drivers/dpdk/close_port.h"
#include "drivers/dpdk/device.h"
#include "drivers/dpdk/dpdk_log.h"
#include "drivers/dpdk/ethdev.h"
#include "drivers/dpdk/peer_door.h"

namespace penstock {
namespace {

constexpr int kRetryMs = 100;
constexpr int kTurnsAfterFault = 10;

// EAL knows external memory once, however many devices read it.
std::mutex registered_lock;
std::map<const std::byte*, uint32_t> registered;  // by so many devices

bool register_memory(std::byte* base, size_t bytes, size_t page) {
  const std::lock_guard lock(registered_lock);
  const auto [known, fresh] = registered.try_emplace(base, 0);
  if (fresh && rte_extmem_register(base, bytes, nullptr, 0, page) != 0) {
    registered.erase(known);
    return false;
  }
  known->second++;
  return true;
}

void unregister_memory(std::byte* base, size_t bytes) {
  const std::lock_guard lock(registered_lock);
  const auto known = registered.find(base);
  if (known == registered.end() || --known->second != 0) return;
  registered.erase(known);
  rte_extmem_unregister(base, bytes);
}

}  // namespace

void DpdkDevice::wait_for_peer() {
  int rest = 0;
  while (!stop_.is_set()) {
    if (rest > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kRetryMs));
      rest--;
      continue;
    }
    if (spec_.kind == PortKind::kVirtioUser) {
      if (!door_->wait(kRetryMs)) continue;
      if (let_peer_in()) return;
      rest = kTurnsAfterFault;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(kRetryMs));
      if (rte_eth_dev_start(port_) == 0) {
        run();
        return;
      }
    }
  }
}

// Lets DPDK speak with the peer at the door. False: it went wrong, and a new door stands there.
bool DpdkDevice::let_peer_in() {
  const auto listen = [](void* self) {
    auto& device = *static_cast<DpdkDevice*>(self);
    return device.probe() ? -1 : 0;
  };
  Fault why;
  if (door_->hand_over(listen, this) != 0) {
    why = "a peer came and left again" + last_dpdk_words();
  } else {
    why = set_up();
    if (!why && rte_eth_dev_start(port_) != 0) why = "it does not start" + last_dpdk_words();
  }
  if (!why) {
    run();
    return true;
  }
  shut();
  auto door = PeerDoor::open(spec_.target);
  say("down: " + (door ? *why : door.error()));
  if (door) door_ = *std::move(door);
  return false;
}

// A memif client whose server went away does not connect again by itself. Under mutex_.
void DpdkDevice::connect_again() {
  running_ = false;
  if (waiter_.joinable()) waiter_.join();  // it has long ended: it had called run()
  rte_eth_dev_stop(port_);
  waiter_ = std::thread([this] { wait_for_peer(); });
}

void DpdkDevice::say(std::string status) {
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
}

void DpdkDevice::shut() {
  if (port_ != kNoPort && !close_port(port_)) {
    static auto* const left = new std::vector<std::shared_ptr<Pools>>;  // until the process ends
    left->push_back(pools_);
    port_ = kNoPort;
    return;
  }
  port_ = kNoPort;
  if (spec_.kind != PortKind::kPci) rte_vdev_uninit(name_.c_str());
}

DpdkDevice::~DpdkDevice() {
  stop_.set();
  if (waiter_.joinable()) waiter_.join();
  for (auto& queue : queues_)
    queue->state_.store(0);
  shut();
  if (ring_.pair != nullptr) leave_ring(ring_);
}

Errc DpdkDevice::map_region(const Region& region) {
  // Only a NIC reads memory by itself; the other kinds copy, or pass pointers within the process.
  if (spec_.kind != PortKind::kPci) return Errc::kOk;
  const std::lock_guard lock(mutex_);
  if (mapped_[region.base]++ > 0) return Errc::kOk;
  const auto at = reinterpret_cast<uint64_t>(region.base);
  constexpr uint64_t kSmall = 4096, kHuge = uint64_t{2} << 20;
  const uint64_t page = (at | region.bytes) % kHuge == 0 ? kHuge : kSmall;
  auto* base = const_cast<std::byte*>(region.base);
  rte_eth_dev_info info{};
  Errc result = Errc::kOk;
  if ((at | region.bytes) % kSmall != 0) {
    result = Errc::kInvalid;
  } else if (!register_memory(base, region.bytes, page)) {
    result = Errc::kNoMemory;
  } else if (rte_eth_dev_info_get(port_, &info) != 0 ||
             rte_dev_dma_map(info.device, base, at, region.bytes) != 0) {
    unregister_memory(base, region.bytes);
    result = Errc::kSystem;
  }
  if (result != Errc::kOk) mapped_.erase(region.base);
  return result;
}

void DpdkDevice::unmap_region(const Region& region) {
  if (spec_.kind != PortKind::kPci) return;
  const std::lock_guard lock(mutex_);
  const auto found = mapped_.find(region.base);
  if (found == mapped_.end() || --found->second > 0) return;
  mapped_.erase(found);
  auto* base = const_cast<std::byte*>(region.base);
  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(port_, &info) == 0) {
    rte_dev_dma_unmap(info.device, base, reinterpret_cast<uint64_t>(base), region.bytes);
  }
  unregister_memory(base, region.bytes);
}

}  // namespace penstock
