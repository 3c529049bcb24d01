#include "drivers/dpdk/buffers.h"

#include <algorithm>
#include <bit>

namespace penstock {
namespace {

// What a worker may hold at a time: a burst each way, its cache, and what it lets lie for a turn.
constexpr uint32_t kHeld = 64 + 2 * kBufferCache;
constexpr uint32_t kMbuf = 128 + 64;         // DPDK's own words before each buffer
constexpr uint32_t kReference = kMbuf + 64;  // an mbuf without room
constexpr uint32_t kPage = 4096;
constexpr uint32_t kLeastOfNics = 2048;

uint32_t whole_lines(uint32_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

uint64_t BufferPlan::bytes() const {
  return uint64_t{rx_count} * (kMbuf + rx_room) + uint64_t{tx_count} * (kMbuf + tx_room) +
         uint64_t{payloads} * kReference;
}

uint32_t packet_slot(const PortSpec& spec) {
  constexpr uint32_t kKernelHeader = 96;
  return std::max(uint32_t{2048}, std::bit_ceil(spec.max_frame() + kKernelHeader));
}

uint16_t descriptors(PortKind kind) {
  switch (kind) {
    case PortKind::kPci:
      return 1024;
    case PortKind::kAfXdp:
      return 2048;  // the kernel's ring; the driver fills it whole
    default:
      return 256;
  }
}

BufferPlan plan_buffers(const PortSpec& spec) {
  constexpr uint32_t kSpare = 32;  // a VLAN tag and virtio's own header, which drivers insist on
  const uint32_t room = kHeadroom + whole_lines(spec.max_frame() + kSpare);
  const uint32_t count = spec.queues * (descriptors(spec.kind) + kHeld);
  BufferPlan plan{count, room, count, room, count};
  switch (spec.kind) {
    case PortKind::kAfXdp:
      // The kernel counts this memory in pages. DPDK likes an odd number of lines to a buffer, and
      // would make a page and a line of a whole page.
      plan.rx_room = kPage - kMbuf - 64;
      plan.rx_count = 2 * count;
      break;
    case PortKind::kAfPacket:
      plan.rx_room = kHeadroom + packet_slot(spec);  // the driver asks for as much
      break;
    case PortKind::kPci:
      // vmxnet3 takes no smaller ones, and e1000 would cut frames: it rounds down to a power of
      // two.
      plan.rx_room = kHeadroom + std::max(kLeastOfNics, plan.rx_room - kHeadroom);
      break;
    case PortKind::kRing:
      plan.rx_count = spec.queues * kHeld;  // what comes lies in the other side's buffers
      break;
    default:
      break;
  }
  return plan;
}

}  // namespace penstock
