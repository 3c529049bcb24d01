// What a Node is made of: its limits, and the queues and devices that its workers poll.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/base/idle.h"
#include "dataplane/lane/layout.h"
#include "dataplane/net_port.h"

namespace penstock {

struct NodeConfig {
  uint64_t id = 0;
  uint64_t epoch = 0;
  std::string name;
  LaneGeometry lane;    // for publishers that ask for nothing else
  LaneGeometry mirror;  // at most
  LaneGeometry inbox;   // for pullers that ask for nothing else
  uint64_t max_arena_bytes = uint64_t{1} << 30;
  uint64_t chain_from_bytes = 0;    // messages from this size on go down a chain; 0: none
  uint64_t put_from_bytes = 16384;  // messages from this size on go by RDMA, where there is a way
  uint64_t stripe_from_bytes = 2 << 20;   // and from this on by all such ways at once
  uint64_t put_wait_ns = 10'000'000'000;  // how long they wait for it where it is required
  bool huge_pages = false;
  uint32_t max_clients = 1024;
  uint32_t max_lanes = 256;          // of one client
  uint32_t max_subscriptions = 256;  // of one client
  std::vector<IdleConfig> workers;   // one for each
};

// What a device counts by itself: what it lost, before or after the port had it, and buffers.
struct DeviceLosses {
  uint64_t rx_missed = 0;  // no free buffer or descriptor
  uint64_t rx_errors = 0;
  uint64_t tx_errors = 0;
  uint64_t buffers = 0;  // of the port
  uint64_t buffers_free = 0;
};

// A count that should stay where it is, as it is looked at every second: whether it grows.
struct Growth {
  uint64_t count = 0;
  uint64_t at = 0;  // when it last grew
  bool grows = false;
};

// A queue of a port, for tables; the daemon owns all it points to.
struct PortRow {
  std::string name;
  std::string device;
  std::string address;
  uint32_t mtu = 0;
  uint32_t worker = 0;
  uint32_t queue = 0;
  NetPort* net = nullptr;
  // "up", "down", or what it waits for; null: what the link says. Called on the control thread.
  std::function<std::string()> status = nullptr;
  // Of the device, so only in the row of its first queue; null: it counts nothing. Control thread.
  std::function<DeviceLosses()> losses = nullptr;
  bool copies = false;  // the device could not be shown a lane
  bool down = false;    // and said to be
  Growth no_buffers = {};
};

}  // namespace penstock
