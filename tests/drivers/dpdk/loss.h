// Loss: drops received frames of a port, by a seed. An rx callback, because a tx callback that
// drops makes its caller free the frame again.
#pragma once

#include <cstdint>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/device.h"

namespace penstock {

class Loss {
 public:
  // One frame in `one_in` is lost on the way into queue 0. The port is open and nobody polls it
  // yet.
  Loss(const DpdkDevice& device, uint32_t one_in, uint64_t seed)
      : port_(device.dpdk_port()), one_in_(one_in), random_(seed | 1) {
    callback_ = rte_eth_add_rx_callback(port_, 0, drop_some, this);
  }
  Loss(const Loss&) = delete;
  Loss& operator=(const Loss&) = delete;
  // Nobody polls the port any more.
  ~Loss() { rte_eth_remove_rx_callback(port_, 0, callback_); }

  uint64_t dropped() const { return dropped_; }

 private:
  static uint16_t drop_some(uint16_t, uint16_t, rte_mbuf** frames, uint16_t n, uint16_t,
                            void* self) {
    auto& loss = *static_cast<Loss*>(self);
    uint16_t kept = 0;
    for (uint16_t i = 0; i < n; i++) {
      loss.random_ ^= loss.random_ << 13;
      loss.random_ ^= loss.random_ >> 7;
      loss.random_ ^= loss.random_ << 17;
      if (loss.random_ % loss.one_in_ != 0) {
        frames[kept++] = frames[i];
      } else {
        loss.dropped_++;
        rte_pktmbuf_free(frames[i]);
      }
    }
    return kept;
  }

  uint16_t port_;
  uint32_t one_in_;
  uint64_t random_;
  uint64_t dropped_ = 0;
  const rte_eth_rxtx_callback* callback_;
};

}  // namespace penstock
