#include "drivers/gpu/gpu_registrar.h"

#include <unistd.h>

namespace penstock {

Result<Registration> GpuRegistrar::by_dma_buf(std::byte* base, uint64_t bytes, uint32_t rights) {
  if ((fabric_.limits().capabilities & kFabricGpu) == 0) return Errc::kInvalid;
  const auto buffer = memory_.export_dma_buf(base, bytes);
  if (!buffer.ok()) return buffer.error();
  return fabric_.register_dma_buf(buffer->fd.get(), buffer->offset, base, bytes, rights);
}

Result<GpuRegistrar::Registered> GpuRegistrar::take(std::byte* base, uint64_t bytes,
                                                    uint32_t rights) {
  const auto answer = [&](GpuWay way, const Registration& r) -> Result<Registered> {
    taken_[static_cast<size_t>(way)]++;
    return Registered{way, r};
  };
  const MemoryKind kind = memory_.kind_of(base);
  if (kind == MemoryKind::kHost) {
    const auto r = fabric_.register_memory(base, bytes, rights);
    return r.ok() ? answer(GpuWay::kHost, *r) : r.error();
  }
  if (kind == MemoryKind::kGpu) {
    // What has no room, or is too big, is no better off by another way.
    const auto final_word = [](Errc e) {
      return e == Errc::kNoMemory || e == Errc::kTooBig || e == Errc::kClosed;
    };
    const auto buffer = by_dma_buf(base, bytes, rights);
    if (buffer.ok()) return answer(GpuWay::kDmaBuf, *buffer);
    if (final_word(buffer.error())) return buffer.error();
    if (access(config_.peer_memory.c_str(), F_OK) == 0) {
      const auto r = fabric_.register_memory(base, bytes, rights);
      if (r.ok()) return answer(GpuWay::kPeerMemory, *r);
      if (final_word(r.error())) return r.error();
    }
  }
  return answer(GpuWay::kStaging, {});
}

Result<Registration> GpuRegistrar::register_memory(std::byte* base, uint64_t bytes,
                                                   uint32_t rights) {
  const auto r = take(base, bytes, rights);
  if (!r.ok()) return r.error();
  if (r->way == GpuWay::kStaging) return Errc::kInvalid;
  return r->registration;
}

}  // namespace penstock
