// DpdkDevice: a port of the config as one DPDK device, and a DpdkPort for each of its queue pairs.
// Control owns it; each DpdkPort belongs to one worker.
//
// A virtio-user or memif-client port whose peer is not there yet opens all the same: it is down,
// takes and gives no frames, and comes up by itself when the peer does. A peer that dies takes the
// link down, and back up when it comes again. README.md says which of the two may start first, and
// what memif cannot do.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/stop_flag.h"
#include "dataplane/port.h"
#include "drivers/dpdk/dpdk_port.h"
#include "drivers/dpdk/or_sentence.h"
#include "drivers/dpdk/port_spec.h"
#include "drivers/dpdk/ring_pair.h"

namespace penstock {

class PeerDoor;
struct Abilities;

// What the device counted by itself.
struct DeviceStats {
  uint64_t rx_missed = 0;     // arrived and found no free buffer in the device
  uint64_t rx_errors = 0;     // arrived damaged
  uint64_t rx_no_buffer = 0;  // the pool was empty
  uint64_t tx_errors = 0;
  uint64_t buffers = 0;
  uint64_t buffers_free = 0;
};

class DpdkDevice {
 public:
  // Opens, configures and starts. Needs a started Eal. The error is one sentence that names the
  // port, says what is wrong and what to do about it.
  static OrSentence<std::unique_ptr<DpdkDevice>> open(const PortSpec& spec);

  DpdkDevice(const DpdkDevice&) = delete;
  DpdkDevice& operator=(const DpdkDevice&) = delete;
  // After the workers have let go of the ports and given back every frame. The two devices of a
  // ring are both to be idle before the first is closed.
  ~DpdkDevice();

  const PortSpec& spec() const { return spec_; }
  DpdkPort& queue(uint16_t index) { return *queues_[index]; }
  uint16_t dpdk_port() const { return port_; }

  // Reads link and counters from the device: control, every 100 ms or so.
  void refresh();
  DeviceStats stats() const;  // as of the last refresh()
  // What the NIC says its cable carries, in Mb/s; 0: nothing, or it is no NIC.
  uint64_t mbps() const;
  std::string status() const;  // "up", "down", or what it waits for
  bool buffers_all_back() const { return pools_->all_back(); }

  // For Port: every queue's port asks for the same regions, the device sees each once.
  Errc map_region(const Region& region);
  void unmap_region(const Region& region);

 private:
  static constexpr uint16_t kNoPort = UINT16_MAX;
  using Clock = std::chrono::steady_clock;
  explicit DpdkDevice(const PortSpec& spec);

  using Fault = std::optional<std::string>;  // what is wrong, or nothing

  Fault make();
  Fault come_up();
  Fault probe();
  Fault make_pools();
  Fault set_up();
  void promise(const Abilities& abilities);
  void run();
  void look();
  void shut();
  void wait_for_peer();
  bool let_peer_in();
  void connect_again();
  void say(std::string status);

  const PortSpec spec_;
  const std::string text_;   // as the config names it
  const unsigned index_;     // in this process
  std::string name_;         // DPDK's
  std::string mac_;          // for kinds that have none of their own
  uint16_t port_ = kNoPort;  // DPDK's number, once probed
  std::shared_ptr<Pools> pools_;
  RingEnd ring_;
  std::vector<std::unique_ptr<DpdkPort>> queues_;
  std::unique_ptr<PeerDoor> door_;
  std::thread waiter_;  // for a peer that is not there yet
  StopFlag stop_;

  mutable std::mutex mutex_;  // what follows: control and waiter
  bool running_ = false;
  Clock::time_point up_at_;
  std::string status_;
  DeviceStats stats_;
  std::map<const std::byte*, unsigned> mapped_;  // how many queues asked for a region
};

}  // namespace penstock
