// ShmFabric: a fabric between processes of one host and one user. What a peer may put to or get
// from lies in memory files (memfd) that this side was told of; the peer maps them, and copies by
// itself. This side's processor has no part in it until it polls the immediates.
//
//   A: post ──▶ [ queue ] ──poll()──▶ A copies into B's memory ──▶ ring ──▶ B: immediate
//   A: poll ◀── completion ◀──┘
//
// Requests move in poll() only. Files, connections and deaths are seen in events(), which control
// calls when event_fd() is readable: until then a peer is not connected, and one that was killed
// looks as if it lived.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/sealed_memory.h"
#include "drivers/shm/shm_way.h"
#include "rdma/fabric.h"
#include "rdma/memory_table.h"
#include "rdma/visit.h"

namespace penstock {

class ShmEndpoint;

struct ShmFabricConfig {
  const char* name = "shm";
  uint32_t send_depth = 256;
  uint32_t receive_depth = 4096;  // for each peer device
  uint64_t timeout_ns = 1'000'000'000;
  // How long stop() and deregister() wait for a peer that is in the middle of a copy. One that
  // stays there longer makes the device fatal: what it still writes nobody can prevent.
  uint64_t patience_ns = 2'000'000'000;
};

class ShmFabric final : public Fabric {
 public:
  static constexpr uint32_t kMostInline = 220;
  static constexpr uint32_t kWays = 64;               // peers that put to this device
  static constexpr uint64_t kTurnBytes = 512 * 1024;  // of an endpoint, in one poll

  static Result<std::unique_ptr<ShmFabric>> open(const ShmFabricConfig& config = {});
  ~ShmFabric() override;

  // Tells of a memory file that is mapped at `base`, so that what lies in it can be registered for
  // peers. They are sent the file when that happens, and could then reach all of it. The file's
  // size is sealed; for kReadWrite, writing is not sealed yet, for kRead it is. kFull: there are
  // too many.
  Errc add_memory(int fd, std::byte* base, uint64_t bytes, Access access);
  // When nothing of it is registered any more.
  void forget_memory(const std::byte* base);

  const char* name() const override { return config_.name; }
  const FabricLimits& limits() const override { return limits_; }
  const FabricStats& stats() const override { return stats_; }
  bool port_up() const override { return !fatal_; }
  // kDenied: peers are to reach it, and it lies in no memory file that this device was told of.
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t rights) override;
  void deregister(const Registration& registration) override;
  Result<std::unique_ptr<Endpoint>> create_endpoint() override;
  Polled poll(std::span<FabricCompletion> completions,
              std::span<FabricImmediate> immediates) override;
  size_t events(std::span<FabricEvent> out) override;
  int event_fd() const override { return epoll_.get(); }

 private:
  friend class ShmEndpoint;

  struct Segment {
    std::byte* base = nullptr;  // null: none
    uint64_t bytes = 0;
    Access access = Access::kRead;
    Fd file;
    bool shared = false;  // something in it was registered for peers
  };

  explicit ShmFabric(const ShmFabricConfig& config);
  Errc start();
  static uint32_t place_of(uint32_t number) { return number & 0xffff; }
  Result<ShmWayOut*> way_to(uint64_t device);
  Errc watch(int fd);
  void let_in();
  void serve();
  void tell_of_segments(ShmWayIn& way);
  void tell_all();
  // Returns when no peer uses what was taken away before.
  void see_writers_out();
  void forget(ShmEndpoint& endpoint);
  ShmEndpoint* endpoint(uint32_t place) const;
  size_t take_immediates(ShmWayIn& way, std::span<FabricImmediate> out);

  ShmFabricConfig config_;
  FabricLimits limits_;
  uint64_t device_ = 0;
  SealedMemory table_file_;
  Fd table_to_read_;
  Mapping table_map_;
  ShmTable* table_ = nullptr;
  // Written by control.
  Fd listener_;
  Fd epoll_;
  MemoryTable memory_{kShmRegions};
  std::array<Segment, kShmSegments> segments_;
  std::vector<std::unique_ptr<ShmWayOut>> ways_out_;
  std::array<ShmWayIn, kWays> ways_in_;
  std::array<SharedWord, kShmEndpoints> endpoints_;  // pointers
  std::array<uint32_t, kShmEndpoints> lives_{};
  SharedWord endpoints_end_;  // there are none behind it
  bool fatal_ = false;
  bool fatal_told_ = false;
  // Written by the worker.
  alignas(kPair) Visit visit_;
  FabricStats stats_;
  uint32_t turn_ = 0;
};

}  // namespace penstock
