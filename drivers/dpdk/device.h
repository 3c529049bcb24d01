// DpdkDevice: a port of the config as one DPDK device, and a DpdkPort for each of its queue pairs.
// Control owns it; each DpdkPort belongs to one worker.
//
// A virtio-user or memif-client port whose peer is not there yet opens all the same: it is down,
// takes and gives no frames, and a thread of the device brings it up when the peer comes. A peer
// that dies takes the link down; when it comes back the link does too (memif: see README.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/port.h"
#include "drivers/dpdk/or_sentence.h"
#include "drivers/dpdk/port_spec.h"

namespace penstock {

// What the device counted by itself.
struct DeviceStats {
  uint64_t rx_missed = 0;     // arrived and found no free buffer in the device
  uint64_t rx_errors = 0;     // arrived damaged
  uint64_t rx_no_buffer = 0;  // the pool was empty
  uint64_t tx_errors = 0;
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

  const PortSpec& spec() const;
  Port& queue(uint16_t index);

  // Reads link and counters from the device: control, every 100 ms or so.
  void refresh();
  DeviceStats stats() const;  // as of the last refresh()
  // "up", "down", or what it waits for.
  std::string status() const;

 private:
  class Impl;
  explicit DpdkDevice(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
