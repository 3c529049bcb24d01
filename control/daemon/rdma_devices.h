// RdmaDevices: the device of the config, opened once for each worker. Made before the node, whose
// workers poll it, and closed after it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/node/node.h"
#include "drivers/dpdk/eal.h"

namespace penstock {

class RdmaDevices {
 public:
  // None is no fault, unless the config names it; the log says which it is. The error is one
  // sentence that names the device and the remedy.
  static OrSentence<RdmaDevices> open(const RdmaOptions& options, uint32_t workers);

  // Gives the node's workers their devices. Before it has peers.
  void join(Node& node) const;

 private:
  std::string name_;
  std::vector<std::unique_ptr<Fabric>> fabrics_;  // by worker
};

}  // namespace penstock
