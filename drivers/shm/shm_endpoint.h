// ShmEndpoint: requests that wait for this side's poll(), which moves their bytes, in order.
//
//   told_ ──▶ done, its completion not polled ──▶ moved_ ──▶ waits, the first maybe in part ──▶
//   posted_
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "drivers/shm/shm_fabric.h"

namespace penstock {

class ShmEndpoint final : public Endpoint {
 public:
  ShmEndpoint(ShmFabric& fabric, uint32_t number, uint32_t nonce);
  ~ShmEndpoint() override;

  uint32_t number() const override { return number_; }
  EndpointAddress address() const override;
  Errc connect(const EndpointAddress& peer) override;
  State state() const override { return static_cast<State>(state_.load()); }
  void stop() override;
  size_t post(std::span<const FabricRequest> in) override;

 private:
  friend class ShmFabric;

  struct Slot {
    FabricRequest request;
    FabricCode code = FabricCode::kOk;
    std::array<std::byte, ShmFabric::kMostInline> inlined;
  };
  enum class Fate : uint8_t { kDone, kMore, kWait, kFailed };

  Slot& slot(uint64_t n) { return slots_[n % slots_.size()]; }
  uint64_t name() const { return shm_name(nonce_, number_); }
  ShmEntry& entry() const;
  // Does what the budget of bytes allows.
  void move(uint64_t budget);
  void move_all(uint64_t budget);
  Fate attempt(Slot& s, uint64_t& budget, FabricCode& why);
  Fate peer_is_there(FabricCode& why);
  Fate wait(FabricCode& why);
  void fail(FabricCode code);
  // Fills `out` from the front with completions.
  size_t tell(std::span<FabricCompletion> out);

  ShmFabric& fabric_;
  uint32_t number_;
  uint32_t nonce_;
  // Written by control.
  ShmWayOut* way_ = nullptr;
  uint64_t peer_ = 0;  // its name
  SharedWord state_;   // and by the worker: kError
  // Written by the worker.
  std::vector<Slot> slots_;
  uint64_t posted_ = 0;
  uint64_t moved_ = 0;
  uint64_t told_ = 0;
  uint32_t part_ = 0;  // bytes of the request at moved_ that have gone
  uint64_t waiting_since_ns_ = 0;
};

}  // namespace penstock
