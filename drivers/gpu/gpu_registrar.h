// GpuRegistrar: makes memory known to an RDMA device by the best way that there is, and counts
// which it was. Control only. For a RegistrationCache: Config::registrar.
//
//   host memory ─────────────────────────────────────────────▶ the device itself
//   GPU ──▶ dma-buf, if the GPU gives one and the device takes it
//       ──▶ peer memory: the address itself, if nvidia_peermem is loaded
//       ──▶ none: it has to go by way of the host (staged_puts.h)
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "drivers/gpu/gpu_memory.h"

namespace penstock {

enum class GpuWay : uint8_t { kHost, kDmaBuf, kPeerMemory, kStaging };
inline constexpr size_t kGpuWays = 4;

constexpr const char* text(GpuWay way) {
  constexpr const char* kText[kGpuWays] = {"host", "dma-buf", "peer memory", "staging"};
  const auto i = static_cast<unsigned>(way);
  return i < kGpuWays ? kText[i] : "unknown way";
}

class GpuRegistrar final : public Registrar {
 public:
  struct Config {
    // There when the module is loaded that lets RDMA devices take addresses of GPUs.
    std::string peer_memory = "/sys/module/nvidia_peermem";
  };
  struct Registered {
    GpuWay way = GpuWay::kHost;
    Registration registration;  // not with kStaging
  };

  // Both outlive this.
  GpuRegistrar(const GpuMemory& memory, Fabric& fabric) : GpuRegistrar(memory, fabric, Config()) {}
  GpuRegistrar(const GpuMemory& memory, Fabric& fabric, Config config)
      : memory_(memory), fabric_(fabric), config_(std::move(config)) {}

  // Memory of one kind. kNoMemory: there is a way, and no room; make room and try again.
  Result<Registered> take(std::byte* base, uint64_t bytes, uint32_t rights);
  // The same; kInvalid where the way is staging.
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t rights) override;

  // How often each way was taken.
  uint64_t taken(GpuWay way) const { return taken_[static_cast<size_t>(way)]; }

 private:
  Result<Registration> by_dma_buf(std::byte* base, uint64_t bytes, uint32_t rights);

  const GpuMemory& memory_;
  Fabric& fabric_;
  const Config config_;
  std::array<uint64_t, kGpuWays> taken_{};
};

}  // namespace penstock
