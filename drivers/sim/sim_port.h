// SimPort: one port of a SimNet. What it sends is copied when it is taken, and the reference to a
// lane's memory is kept for a while, as a NIC would.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "dataplane/port.h"

namespace penstock {

class SimNet;

// What happens to frames that a port sends; parts of a million. May be changed at any time.
struct SimFaults {
  uint32_t lose = 0;
  uint32_t lose_run = 1;                // frames lost in a row when one is
  uint64_t lose_for_ns = ~uint64_t{0};  // and no longer than that
  uint32_t duplicate = 0;
  uint32_t damage = 0;  // one bit
  uint32_t forge = 0;   // two bits, so that the checksums of IP and UDP do not see it
  uint32_t reorder = 0;
  uint64_t delay_ns = 1000;
  uint64_t jitter_ns = 0;       // up to so much more, for each frame on its own
  uint64_t reorder_ns = 20000;  // how much later a reordered frame comes
  uint32_t swallow_above = 0;   // larger frames vanish; 0: none do
  bool cut = false;             // nothing arrives at all
};

// What faults have done to the frames that a port sent.
struct SimFaultCounts {
  uint64_t lost = 0;
  uint64_t doubled = 0;
  uint64_t damaged = 0;
  uint64_t forged = 0;
  uint64_t reordered = 0;

  void add(const SimFaultCounts& other) {
    lost += other.lost;
    doubled += other.doubled;
    damaged += other.damaged;
    forged += other.forged;
    reordered += other.reordered;
  }
};

struct SimPortConfig {
  const char* name = "sim";
  uint32_t max_frame = 1514;
  bool chains = true;      // else payloads are copied and counted
  bool maps = true;        // else it refuses regions: the device cannot reach them
  size_t tx_room = 1024;   // frames in the port at once: accepted and not given back
  uint64_t tx_ns = 0;      // how long the port keeps a frame and its reference
  size_t buffers = 4096;   // frames in the hands of the caller at once
  size_t rx_queue = 4096;  // frames that wait for rx_burst; more are lost
  uint32_t gbps = 0;       // of its cable, each way; 0: frames take no time
  // The switch's buffer in front of the cable to this port, in bytes; more is lost. From `mark_at`
  // on it marks frames that say that they may be marked (ECN, RFC 3168).
  size_t switch_room = SIZE_MAX;
  size_t mark_at = SIZE_MAX;
  SimFaults faults{};
};

class SimPort final : public Port {
 public:
  SimPort(SimNet& net, size_t index, uint64_t seed, const SimPortConfig& config);
  ~SimPort() override;

  SimFaults faults;

  const PortInfo& info() const override { return info_; }
  const PortStats& stats() const override { return stats_; }
  bool link_up() override { return !faults.cut; }
  size_t rx_burst(std::span<Frame> out) override;
  size_t tx_alloc(std::span<Frame> out) override;
  size_t tx_burst(std::span<const Frame> in) override;
  void release(std::span<const Frame> frames) override;
  Errc map_region(const Region& region) override;
  void unmap_region(const Region& region) override;

  // The rate of its cable from now on.
  void set_rate(uint32_t gbps) { config_.gbps = gbps; }
  // The device ends: references are given back at once, and nothing more comes or goes.
  void stop();

  // Puts a frame into this port's queue, as if it had come from the net.
  void inject(std::span<const std::byte> bytes);

  // Frames in the caller's hands, and references not yet given back.
  size_t held() const { return held_ + sending_.size(); }
  size_t held_by_caller() const { return held_; }
  // Frames that it sent and a fault took, and frames to it that the switch had no room for, or
  // marked.
  uint64_t lost() const { return done_.lost; }
  uint64_t overflowed() const { return overflowed_; }
  uint64_t marked() const { return marked_; }

 private:
  friend class SimNet;

  struct Sending {
    uint64_t done_at;
    Region* region;
  };

  uint64_t random();
  bool chance(uint32_t of_a_million) { return random() % 1'000'000 < of_a_million; }
  bool loses(size_t bytes);
  // How long a frame of so many bytes is on the cable, what Ethernet adds included.
  uint64_t wire_ns(size_t bytes) const;
  std::vector<std::byte>* spare();
  void deliver(std::vector<std::byte> bytes);
  void give_back(uint64_t now);

  SimNet& net_;
  size_t index_;
  uint64_t random_;
  SimPortConfig config_;
  PortInfo info_;
  PortStats stats_;
  std::deque<std::vector<std::byte>> queue_;
  std::deque<Sending> sending_;
  std::vector<std::vector<std::byte>*> spare_;  // buffers that were given back
  std::vector<const Region*> regions_;
  uint32_t losing_ = 0;  // frames still to be lost of a run
  uint64_t losing_since_ = 0;
  SimFaultCounts done_;
  uint64_t overflowed_ = 0;
  uint64_t marked_ = 0;
  uint64_t up_free_ = 0;    // when the cable to the switch is free again
  uint64_t down_free_ = 0;  // and the one from it
  size_t held_ = 0;
};

}  // namespace penstock
