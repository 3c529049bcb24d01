// What the RDMA ports of this host are good for, found out by opening each as a node would.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

struct VerbsPort {
  std::string device;
  uint8_t port = 1;
  std::string fault;    // why it cannot be used, with the remedy; empty: it can
  std::string address;  // what peers call it: the GID, or "LID 7"
  uint32_t gid_index = 0;
  uint32_t mtu = 0;      // bytes of payload in a packet
  uint32_t gbps = 0;     // 0: it does not say
  bool dma_buf = false;  // registers memory of other devices
};

struct VerbsPorts {
  std::string why;  // one sentence when there are none; empty: there are
  std::vector<VerbsPort> ports;
};

// Control only, and not while a node uses them: makes and destroys queues on each.
VerbsPorts verbs_ports();

}  // namespace penstock
