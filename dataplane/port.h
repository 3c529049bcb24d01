// Port: the seam between the dataplane and one queue pair of a NIC. drivers/ implements it; tests
// use drivers/sim. All calls are non-blocking and belong to the one worker that owns the port.
//
// A frame out is a header that the port owns and, for large payloads, a reference to bytes in a
// lane, which the NIC reads in place:
//
//     tx_alloc ──▶ [ data: Ethernet, IP, UDP, Penstock headers, small messages ]
//                  [ payload: bytes of a lane, not copied ] ──▶ tx_burst ──▶ region.give_back()
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/counter.h"
#include "dataplane/base/errc.h"
#include "dataplane/base/ref_count.h"

namespace penstock {

// Memory that frames may refer to: a lane or a registered region. It outlives every frame that
// refers to it: whoever unmaps it first waits for in_flight.idle().
struct Region {
  const std::byte* base = nullptr;
  uint64_t bytes = 0;
  bool copied =
      false;           // some device cannot read it: ports copy out of it. Set by control, at first
  RefCount in_flight;  // taken by tx_burst for each accepted frame, given back when the NIC is done
};

// Frame.flags
enum : uint32_t {
  kRxChecksumGood = 1,  // the NIC checked the UDP checksum
  kRxChecksumBad = 2,
  kTxUdpChecksum = 4,  // NIC: fill the UDP checksum in (the pseudo-header sum is in place)
  kTxIpChecksum = 8,   // NIC: fill the IPv4 header checksum in (the field is 0)
};

// A frame in flight. Whoever holds the Frame owns `data`; `payload` belongs to `region`.
//   received: bytes = data[0, len) and then payload[0, payload_len). The payload part is empty
//             unless the sender's frame came through whole (ring devices), split where it was.
//   to send:  tx_alloc sets data, room, handle; the caller fills in the rest.
struct Frame {
  std::byte* data;
  uint32_t len;
  uint32_t room;
  const std::byte* payload;
  uint32_t payload_len;
  uint32_t flags;
  Region* region;
  void* handle;
  uint16_t l2_len;  // for offloads
  uint16_t l3_len;
};

struct PortInfo {
  const char* name = "";
  std::array<uint8_t, 6> mac{};
  uint32_t max_frame = 1514;  // bytes of an Ethernet frame without its check sequence
  bool chains = false;        // sends header and payload without a copy; else the driver linearizes
  bool tx_udp_checksum = false;
  bool tx_ip_checksum = false;
  bool rx_checksum = false;
};

// Written by the port's worker, read by metrics.
struct PortStats {
  Counter rx_frames, rx_bytes, tx_frames, tx_bytes;
  Counter tx_full;        // frames that the device did not take at once
  Counter tx_linearized;  // payloads copied because the device cannot chain, or reach them
  Counter rx_linearized;  // received frames copied because they came in pieces
  Counter rx_missed;      // arrived, and there was no room for it
  Counter no_buffers;     // tx_alloc got less than it asked for
};

class Port {
 public:
  Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;

  virtual const PortInfo& info() const = 0;
  virtual const PortStats& stats() const = 0;
  virtual bool link_up() = 0;

  // Fills `out` from the front with received frames that the caller now owns.
  virtual size_t rx_burst(std::span<Frame> out) = 0;

  // Fills `out` from the front with empty frames that the caller now owns; fewer when buffers ran
  // out. len and payload_len are 0, region is null.
  virtual size_t tx_alloc(std::span<Frame> out) = 0;

  // Takes frames from the front of `in`; the caller still owns those not taken.
  virtual size_t tx_burst(std::span<const Frame> in) = 0;

  // Gives frames back: received ones after use, or unsent ones.
  virtual void release(std::span<const Frame> frames) = 0;

  // Makes `region`, which is mapped for writing, known to the device before the first frame refers
  // to it (DMA mapping; most virtual devices need nothing). Control core, before the region is
  // handed to the worker. Where this fails the caller sets `copied`.
  virtual Errc map_region(const Region& region) = 0;
  virtual void unmap_region(const Region& region) = 0;

  // A descriptor that becomes readable when frames arrive, or -1: an adaptive worker may then only
  // sleep for short times.
  virtual int rx_event_fd() { return -1; }
};

}  // namespace penstock
