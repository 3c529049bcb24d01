// Buffers: how many and how large the buffers of a port are. One place, so that what a port takes
// is what was reserved for it. Pure functions.
#pragma once

#include <cstdint>

#include "drivers/dpdk/port_spec.h"

namespace penstock {

inline constexpr uint32_t kHeadroom = 128;     // before a frame, RTE_PKTMBUF_HEADROOM
inline constexpr uint32_t kBufferCache = 128;  // frames that a worker keeps at hand

struct BufferPlan {
  uint32_t rx_count;  // buffers for frames that come
  uint32_t rx_room;   // bytes of each, headroom included
  uint32_t tx_count;  // for frames that go; each has room for a whole one
  uint32_t tx_room;
  uint32_t payloads;  // references to payload bytes

  uint64_t bytes() const;
};

BufferPlan plan_buffers(const PortSpec& spec);

// Descriptors of each queue, each way.
uint16_t descriptors(PortKind kind);
// The slot of a packet socket's ring that holds a frame behind the kernel's own header.
uint32_t packet_slot(const PortSpec& spec);

}  // namespace penstock
