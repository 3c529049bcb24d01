// EmulatedFabric: a fabric made of frames, for hosts without an RDMA device. Each side keeps a
// table of its regions; a peer names one by key and offset, and the side that owns it checks and
// copies. Frames may be lost, doubled, damaged and come in any order.
//
//   post ──▶ [ requests ] ──poll()──▶ packets ══ carrier ══▶ peer's poll(): checks, copies
//   poll ◀── completion  ◀── acknowledged, or its bytes have come
//
// Everything moves in poll(), on both sides.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/shared_word.h"
#include "dataplane/base/spsc_ring.h"
#include "rdma/emulated/carrier.h"
#include "rdma/fabric.h"
#include "rdma/memory_table.h"
#include "rdma/visit.h"

namespace penstock {

class EmulatedEndpoint;

struct EmulatedFabricConfig {
  uint32_t send_depth = 256;
  uint32_t receive_depth = 4096;
  uint32_t max_registrations = 4096;
  uint64_t first_rto_ns = 10'000'000;  // until a round trip was measured
  uint64_t least_rto_ns = 1'000'000;
  uint64_t timeout_ns = 1'000'000'000;  // without any progress
  uint64_t seed = 0;                    // of nonces; 0: from the system
};

class EmulatedFabric final : public Fabric {
 public:
  static constexpr uint32_t kMostInline = 220;
  static constexpr uint32_t kEndpoints = 256;
  static constexpr uint32_t kMagic = 0x31756d65;  // "emu1"

  // The carrier outlives it.
  EmulatedFabric(Carrier& carrier, const EmulatedFabricConfig& config);
  ~EmulatedFabric() override;

  const char* name() const override { return carrier_.name(); }
  const FabricLimits& limits() const override { return limits_; }
  const FabricStats& stats() const override { return stats_; }
  bool port_up() const override { return up_.load() != 0; }
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t rights) override;
  void deregister(const Registration& registration) override;
  Result<std::unique_ptr<Endpoint>> create_endpoint() override;
  Polled poll(std::span<FabricCompletion> completions,
              std::span<FabricImmediate> immediates) override;
  size_t events(std::span<FabricEvent> out) override { return events_.pop(out); }

  // Written by the worker.
  struct FrameStats {
    Counter sent, resent, received;
    Counter malformed;  // no frame of ours, or damaged
    Counter unknown;    // for no endpoint that stands here
    Counter doubled;    // had come before, or far too early
  };
  const FrameStats& frames() const { return frames_; }

 private:
  friend class EmulatedEndpoint;

  static uint32_t place_of(uint32_t number) { return number & 0xffff; }
  EmulatedEndpoint* endpoint(uint32_t place) const;
  Result<uint32_t> nonce();
  void worker_is_out();
  void forget(EmulatedEndpoint& endpoint);
  void look_at_port();
  void receive(uint64_t now);
  // A frame to fill in, or null: there is no room now. It goes with the others; taken only by
  // setting its len.
  CarrierFrame* frame();
  bool push_immediate(const FabricImmediate& immediate);
  void event(FabricEventKind kind, uint32_t endpoint);

  Carrier& carrier_;
  EmulatedFabricConfig config_;
  FabricLimits limits_;
  uint32_t piece_;  // bytes of payload in one frame
  // Written by control.
  MemoryTable memory_;
  std::array<SharedWord, kEndpoints> endpoints_;  // pointers
  std::array<uint32_t, kEndpoints> lives_{};
  SharedWord endpoints_end_;
  uint64_t random_;
  // Written by the worker.
  alignas(kPair) Visit visit_;
  FabricStats stats_;
  FrameStats frames_;
  SharedWord up_;
  SpscRing<FabricEvent, 1024> events_;
  std::span<CarrierFrame> out_;
  size_t out_used_ = 0;
  std::vector<FabricImmediate> immediates_;
  uint64_t immediates_head_ = 0;
  uint64_t immediates_tail_ = 0;
  uint32_t turn_ = 0;
};

}  // namespace penstock
