// SimNet: a switch and its ports in memory, on virtual time. It moves real bytes, and from a seed
// it loses, doubles, delays, reorders and damages frames. Same seed and same calls: the same run,
// which trace() proves. For tests, demos and benches without a NIC; one thread.
//
//   port A ──tx_burst──▶ faults of A, cable ──▶ [ switch: buffer of B ] ──cable──▶ queue of port B
//
// Cables have a rate and a delay, the switch a buffer in front of each, which overflows and marks.
// A frame goes to the port that owns its destination MAC address; one to a group, or to nobody that
// the switch knows, goes to all others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "drivers/sim/sim_port.h"

namespace penstock {

class SimNet {
 public:
  explicit SimNet(uint64_t seed) : seed_(seed) {}

  // The net owns the port.
  SimPort& add_port(const SimPortConfig& config = {});

  // Whether frames get from one port to another: a partition, one way. They do until told.
  void join(const SimPort& from, const SimPort& to, bool joined);

  // Through a larger network: each flow of UDP takes one of these, by a hash of its addresses and
  // ports (ECMP). Empty: all frames take the same.
  struct Way {
    uint64_t delay_ns = 0;
    bool dark = false;  // everything vanishes
  };
  std::vector<Way> ways;

  // A wall: of UDP only what comes from this source port gets through. 0: there is none.
  uint16_t let_through = 0;

  // Moves the time to `now` (never back) and delivers what is due by then.
  void advance(uint64_t now);
  uint64_t now() const { return now_; }

  // When something happens next by itself, ~0 for never.
  uint64_t next_event() const;

  // A number that depends on every frame, its fate and its time.
  uint64_t trace() const { return trace_; }

  // Of all ports. Lost are also those to ports that were parted.
  SimFaultCounts done() const;
  // Frames and references that somebody still has. 0 when all was given back.
  size_t held() const;

 private:
  friend class SimPort;

  struct InAir {
    uint64_t due;
    uint64_t order;  // equal times keep their order
    size_t to;
    bool at_switch;  // due there, or at the port
    std::vector<std::byte> bytes;
  };
  struct Later {
    bool operator()(const InAir& a, const InAir& b) const {
      return a.due != b.due ? a.due > b.due : a.order > b.order;
    }
  };

  struct Flow {
    size_t begin = 0;
    size_t end = 0;
  };
  static Flow flow_of(const std::vector<std::byte>& bytes);

  void send(SimPort& from, std::vector<std::byte> bytes);
  const Way* way_of(const std::vector<std::byte>& bytes) const;
  bool walled_off(const std::vector<std::byte>& bytes) const;
  void put_in_air(SimPort& from, size_t to, const std::vector<std::byte>& bytes);
  void pass_switch(InAir&& frame);
  void note(uint64_t word);

  uint64_t seed_;
  uint64_t now_ = 0;
  uint64_t order_ = 0;
  uint64_t trace_ = 0xcbf29ce484222325;
  std::vector<std::unique_ptr<SimPort>> ports_;
  std::set<std::pair<size_t, size_t>> parted_;  // from, to
  std::priority_queue<InAir, std::vector<InAir>, Later> air_;
};

}  // namespace penstock
