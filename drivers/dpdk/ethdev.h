// Ethdev: sets DPDK's device of a port up: queues, offloads, MTU.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "drivers/dpdk/or_sentence.h"
#include "drivers/dpdk/pools.h"
#include "drivers/dpdk/port_spec.h"

namespace penstock {

// What a port of this kind can do; those of NICs are known once they are there.
struct Abilities {
  bool chains = false;
  bool tx_udp_checksum = false;
  bool tx_ip_checksum = false;
  bool rx_checksum = false;
  bool operator==(const Abilities&) const = default;
};

// What virtual devices do, known before they are there (a peer may come later).
Abilities abilities(PortKind kind);

// Queues, offloads, MTU. The abilities that it got; a virtual device without its own is an error.
OrSentence<Abilities> configure(uint16_t port, const PortSpec& spec, const Pools& pools);

}  // namespace penstock
