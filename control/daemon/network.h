// Network: the ports of the config, opened, and their queues as the workers see them.
//
//   [[port]] ──▶ DpdkDevice ──▶ queue w ──▶ NetPort ──▶ worker w
//   [[peer]] ──▶ LinkPath i ──▶ worker i % workers
//
// Made before the workers run and closed after they ended.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/node/node.h"
#include "drivers/dpdk/device.h"
#include "drivers/dpdk/eal.h"
#include "drivers/dpdk/placement.h"

namespace penstock {

class Network {
 public:
  // Starts DPDK and opens every port. A config without ports needs neither. The error is one
  // sentence that names the port.
  static OrSentence<std::unique_ptr<Network>> open(const Config& config, const Plan& plan);
  ~Network();

  // Gives the node its queues and its peers.
  void join(Node& node, const Config& config, uint64_t epoch);
  // One more, also while the node runs; its port is one of the config's, and the node does not have
  // it. Lives before `least` are not let in. False: no more links fit.
  bool add_peer(Node& node, const Config& config, uint64_t epoch, const PeerOptions& peer,
                uint64_t least = 0);
  // The node has it a little longer: see there.
  void remove_peer(Node& node, uint64_t id);

  bool has_eal() const { return eal_ != nullptr; }
  const std::string& warning() const;
  // Control, every 100 ms or so.
  void refresh();

 private:
  struct Queue {
    size_t port;  // of the config
    uint32_t worker;
    std::unique_ptr<NetPort> net;
  };

  Network() = default;

  std::unique_ptr<Eal> eal_;
  std::vector<std::unique_ptr<DpdkDevice>> devices_;  // by port of the config
  std::vector<Queue> queues_;
  uint32_t links_ = 0;                                  // each has its index; so many ever had one
  std::deque<uint32_t> free_links_;                     // of links that are gone, the oldest first
  std::map<uint64_t, std::vector<uint32_t>> links_of_;  // by peer
};

// The PCI addresses that the config names, for the placement.
std::vector<std::string> pci_addresses(const Config& config);

}  // namespace penstock
