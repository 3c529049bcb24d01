// RdmaDevices: the devices of the config, opened for each worker, its nearest first. Made before
// the node, whose workers poll them, and closed after it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/node/node.h"
#include "drivers/dpdk/placement.h"

namespace penstock {

class RdmaDevices {
 public:
  // None is no fault, unless the config names it; the log says which there are. The error is one
  // sentence that names the device and the remedy.
  static OrSentence<RdmaDevices> open(const RdmaOptions& options, const Plan& plan);

  // Gives the node's workers their devices. Before it has peers.
  void join(Node& node) const;

 private:
  struct Device {
    uint32_t worker = 0;
    std::string name;
    uint64_t bytes_per_s = 0;  // that it may carry
    std::unique_ptr<Fabric> fabric;
  };
  std::vector<Device> devices_;
};

}  // namespace penstock
