// DpdkPort: one queue pair of a DPDK device, as the worker that owns it sees it. Made by
// DpdkDevice.
//
//     chains        header mbuf ─▶ payload mbuf ─▶ bytes of the lane       nothing is copied
//     linearizes    header mbuf [ header | payload ]                       one copy, counted
#pragma once

#include <cstdint>

#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"
#include "dataplane/port.h"

struct rte_mbuf;
struct rte_mempool;

namespace penstock {

class DpdkDevice;

// What a queue needs to know of its device, fixed before the first frame moves.
struct QueueSetup {
  uint16_t port = 0;  // DPDK's number
  uint16_t queue = 0;
  bool chains = false;   // the device reads payload where it lies
  bool is_ring = false;  // what comes is what the other side sent, in its own two pieces
  rte_mempool* headers = nullptr;
  rte_mempool* payloads = nullptr;  // mbufs without room, for references
};

class DpdkPort final : public Port {
 public:
  explicit DpdkPort(DpdkDevice& device) : device_(device) {}

  const PortInfo& info() const override { return info_; }
  const PortStats& stats() const override { return stats_; }
  // As DpdkDevice::refresh() saw it last.
  bool link_up() override { return (state_.load() & kLinkUp) != 0; }

  size_t rx_burst(std::span<Frame> out) override;
  size_t tx_alloc(std::span<Frame> out) override;
  size_t tx_burst(std::span<const Frame> in) override;
  void release(std::span<const Frame> frames) override;

  Errc map_region(const Region& region) override;
  void unmap_region(const Region& region) override;

 private:
  friend class DpdkDevice;
  enum : uint64_t { kRunning = 1, kLinkUp = 2 };  // bits of state_

  bool receive(rte_mbuf* m, Frame& out);
  struct Offer {
    uint16_t offered, taken;
  };
  Offer offer(std::span<const Frame> in);
  void prepare(const Frame& frame, rte_mbuf* payload);
  static void chain(rte_mbuf* header, rte_mbuf* payload, const Frame& frame);

  DpdkDevice& device_;
  PortInfo info_;     // set before a worker sees the port
  QueueSetup setup_;  // set before kRunning is

  // Written by control.
  alignas(kPair) SharedWord state_;

  // Written by the worker.
  alignas(kPair) PortStats stats_;
};

}  // namespace penstock
