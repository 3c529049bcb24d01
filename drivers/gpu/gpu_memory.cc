#include "drivers/gpu/gpu_memory.h"

namespace penstock {
namespace {

constexpr uint64_t kPage = 65536;  // of a GPU: what a dma-buf is made of

CudaAddress address(const std::byte* at) {
  return reinterpret_cast<uintptr_t>(at);
}

// FNV-1a over the ids of the segments, in their order.
uint64_t mixed(uint64_t hash, uint64_t id) {
  for (int i = 0; i < 8; i++)
    hash = (hash ^ (id >> (8 * i) & 0xff)) * 0x100000001b3;
  return hash;
}

}  // namespace

GpuMemory::Place GpuMemory::place_of(CudaAddress at) const {
  uint32_t type = 0, managed = 0;
  uint64_t id = 0;
  int device = -1;
  const int which[] = {kCudaMemoryType, kCudaIsManaged, kCudaBufferId, kCudaOrdinal};
  void* out[] = {&type, &managed, &id, &device};
  // Of memory that is not CUDA's it says zeros, or fails.
  if (cuda_.pointer_attributes(4, which, out, at) != 0) return {};
  if (managed != 0) return {MemoryKind::kManaged, id, device};
  return {type == kCudaDevice ? MemoryKind::kGpu : MemoryKind::kHost, id, device};
}

MemoryKind GpuMemory::kind_of(const std::byte* at) const {
  return place_of(address(at)).kind;
}

Result<Allocation> GpuMemory::find(const std::byte* at, uint64_t bytes) const {
  const CudaAddress from = address(at);
  if (bytes == 0 || from + bytes < from) return Errc::kInvalid;
  Allocation found;
  int device = -1;
  for (CudaAddress next = from; next - from < bytes;) {
    const Place place = place_of(next);
    CudaAddress base = 0;
    size_t size = 0;
    if (place.kind != MemoryKind::kGpu || (device >= 0 && place.device != device) ||
        cuda_.address_range(&base, &size, next) != 0 || base > next || size <= next - base)
      return Errc::kNotFound;
    if (found.base == nullptr) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): that is how the driver says it
      found = {reinterpret_cast<std::byte*>(base), size, place.id};
      device = place.device;
    } else {
      found.bytes += size;
      found.id = mixed(found.id, place.id);
    }
    next = base + size;
  }
  return found;
}

Result<DmaBuf> GpuMemory::export_dma_buf(const std::byte* at, uint64_t bytes) const {
  const Place place = place_of(address(at));
  int able = 0;
  if (place.kind != MemoryKind::kGpu || bytes == 0 ||
      cuda_.device_attribute(&able, kCudaDmaBuf, place.device) != 0 || able == 0)
    return Errc::kInvalid;
  const CudaAddress first = address(at) / kPage * kPage;
  const CudaAddress end = (address(at) + bytes + kPage - 1) / kPage * kPage;
  int fd = -1;
  // No flags: that for mappings over PCIe is refused by GPUs that do not need it.
  if (cuda_.handle_for_range(&fd, first, end - first, kCudaDmaBufFd, 0) != 0 || fd < 0)
    return Errc::kInvalid;
  return DmaBuf{Fd(fd), address(at) - first};
}

bool GpuMemory::needs_flush(const std::byte* at) const {
  constexpr int kHopper = 9;
  const Place place = place_of(address(at));
  if (place.kind == MemoryKind::kHost) return false;
  int major = 0, host_tables = 0;
  if (cuda_.device_attribute(&major, kCudaMajor, place.device) != 0 ||
      cuda_.device_attribute(&host_tables, kCudaHostTables, place.device) != 0)
    return true;
  return major < kHopper || host_tables != 0;
}

}  // namespace penstock
