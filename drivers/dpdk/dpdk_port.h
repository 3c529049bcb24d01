// DpdkPort: one queue pair of a DPDK device, as the worker that owns it sees it. Made by
// DpdkDevice.
//
//     chains        header mbuf ─▶ payload mbuf ─▶ bytes of the lane       nothing is copied
//     linearizes    header mbuf [ header | payload ]                       one copy, counted
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"
#include "dataplane/port.h"

struct rte_mbuf;
struct rte_mempool;

namespace penstock {

class DpdkDevice;

class DpdkPort final : public Port {
 public:
  explicit DpdkPort(DpdkDevice& device) : device_(device) {}

  const PortInfo& info() const override { return info_; }
  const PortStats& stats() const override { return stats_; }
  // The state that the device saw last: a link that changes is seen within DpdkDevice::refresh().
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

  rte_mbuf* prepare(const Frame& frame);
  bool chain(rte_mbuf* header, const Frame& frame);
  size_t count_sent(std::span<const Frame> in, size_t sent);
  bool receive(rte_mbuf* m, Frame& out);

  // Set by the device before the worker starts or, where its peer came later, before kRunning.
  DpdkDevice& device_;
  PortInfo info_;
  uint16_t port_ = 0;
  uint16_t queue_ = 0;
  uint16_t tx_chunk_ = 0;      // frames handed to the device at once
  bool whole_chains_ = false;  // a received header and payload may stay apart (rings)
  rte_mempool* headers_ = nullptr;
  rte_mempool* payloads_ = nullptr;  // mbufs without room, for references

  // Written by control.
  alignas(kPair) SharedWord state_;

  // Written by the worker.
  alignas(kPair) PortStats stats_;
};

}  // namespace penstock
