// A port that loses a share of what comes in, at random from a seed, before anybody has seen it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

#include "dataplane/port.h"

namespace penstock::bench {

class LossyPort final : public Port {
 public:
  // `lost`: frames of a million. `port` outlives this.
  LossyPort(Port& port, uint32_t lost, uint32_t seed) : port_(port), lost_(lost), random_(seed) {}

  size_t rx_burst(std::span<Frame> out) override {
    const size_t n = port_.rx_burst(out);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
      if (random_() % 1'000'000 < lost_) {
        port_.release(out.subspan(i, 1));
      } else {
        out[kept++] = out[i];
      }
    }
    return kept;
  }

  const PortInfo& info() const override { return port_.info(); }
  const PortStats& stats() const override { return port_.stats(); }
  bool link_up() override { return port_.link_up(); }
  size_t tx_alloc(std::span<Frame> out) override { return port_.tx_alloc(out); }
  size_t tx_burst(std::span<const Frame> in) override { return port_.tx_burst(in); }
  void release(std::span<const Frame> frames) override { port_.release(frames); }
  Errc map_region(const Region& region) override { return port_.map_region(region); }
  void unmap_region(const Region& region) override { port_.unmap_region(region); }
  int rx_event_fd() override { return port_.rx_event_fd(); }

 private:
  Port& port_;
  uint32_t lost_;
  std::minstd_rand random_;
};

}  // namespace penstock::bench
