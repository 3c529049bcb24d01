// SimEndpoint: a queue pair of a SimFabric. Requests land in the order of `order_`, which is that
// of posting unless faults swap two, and are answered in the order of posting.
//
//   finished_ ──▶ answered, in order      landed_ ──▶ tried, in `order_`      posted_
//        freed_: polled, its place in the send queue is free
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "drivers/sim/sim_fabric.h"

namespace penstock {

class SimEndpoint final : public Endpoint {
 public:
  SimEndpoint(SimFabric& device, uint32_t number, uint32_t nonce);
  ~SimEndpoint() override;

  uint32_t number() const override { return number_; }
  EndpointAddress address() const override;
  Errc connect(const EndpointAddress& peer) override;
  State state() const override { return state_; }
  void stop() override;
  size_t post(std::span<const FabricRequest> in) override;

 private:
  friend class SimFabric;
  friend class SimFabricNet;

  static constexpr uint32_t kInlineRoom = 256;
  static constexpr uint64_t kNever = ~uint64_t{0};

  struct Slot {
    FabricRequest request;
    uint64_t answered_at = 0;  // once it has landed
    bool landed = false;
    std::array<std::byte, kInlineRoom> inlined;
  };

  Slot& slot(uint64_t n) { return slots_[n % slots_.size()]; }
  void take(const FabricRequest& request);
  // When it has something to do next, and doing it.
  uint64_t next() const { return next_; }
  void run(uint64_t now);
  void schedule();

  void land(uint64_t now);
  // What became of a request that is due. kWait: it is tried again.
  enum class Fate : uint8_t { kDone, kWait, kFailed };
  Fate attempt(Slot& s, uint64_t now, FabricCode& why);
  Fate wait(uint64_t now, uint64_t limit, FabricCode& why, FabricCode in_the_end);
  FabricCode move(Slot& s, SimEndpoint& peer, uint64_t bytes);
  void finish(FabricCode code);
  void fail(FabricCode code);
  SimEndpoint* peer() const;

  SimFabric& device_;
  SimFabricNet& net_;
  uint32_t number_;
  uint32_t nonce_;
  uint32_t peer_device_ = 0;
  uint32_t peer_number_ = 0;
  uint32_t peer_nonce_ = 0;
  State state_ = State::kNew;
  std::vector<Slot> slots_;
  std::vector<uint64_t> order_;  // which request lands as the n-th
  std::vector<uint64_t> due_;    // and when: never falls
  uint64_t posted_ = 0;
  uint64_t landed_ = 0;
  uint64_t finished_ = 0;
  uint64_t freed_ = 0;
  uint64_t last_due_ = 0;
  uint64_t waiting_since_ = kNever;  // the request at landed_ is tried again
  uint64_t next_ = kNever;
};

}  // namespace penstock
