// A libcuda for tests. Memory of its devices is host memory in a memfd, of which "device" is only
// what was allocated; a dma-buf is that memfd, cut out by a copy of its place. It keeps the rules
// of the true one: allocations of 512 bytes and more side by side in pages of 64 KiB, segments of 2
// MiB of which each is a range of its own, a new buffer id for each allocation, dma-bufs of whole
// pages, all of them mapped and of one device.
#include "tests/drivers/gpu/fake_cuda.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr int kInvalidValue = 1, kNotSupported = 801;
constexpr size_t kSmall = 512, kPage = 65536, kSegment = 2 << 20;
constexpr size_t kSpace = 64 << 20, kSegmentsAt = 32 << 20;

struct Piece {
  size_t bytes;
  uint64_t id;
  int device;
  uint32_t type;
  bool managed;
};

struct Driver {
  Driver() : fd(memfd_create("fake-cuda", MFD_CLOEXEC)) {
    if (ftruncate(fd, kSpace) != 0) _exit(1);
    // At the beginning of a page of a GPU, as its addresses are.
    void* room = mmap(nullptr, kSpace + kSegment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base = (reinterpret_cast<uint64_t>(room) + kSegment - 1) / kSegment * kSegment;
    void* at = mmap(reinterpret_cast<void*>(base), kSpace, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_FIXED, fd, 0);
    if (at == MAP_FAILED) _exit(1);
  }
  // The piece that holds an address.
  std::map<uint64_t, Piece>::iterator at(uint64_t address) {
    auto next = pieces.upper_bound(address);
    if (next == pieces.begin()) return pieces.end();
    --next;
    return address - next->first < next->second.bytes ? next : pieces.end();
  }
  uint64_t add(uint64_t address, Piece piece) {
    piece.id = ++ids;
    pieces[address] = piece;
    return address;
  }
  uint64_t alloc(size_t bytes, int device, uint32_t type, bool managed) {
    bytes = std::max(kSmall, (bytes + kSmall - 1) / kSmall * kSmall);
    uint64_t from = base;
    for (const auto& [address, piece] : pieces) {
      if (address - from >= bytes) break;
      from = address + piece.bytes;
    }
    if (from + bytes > base + kSegmentsAt) return 0;
    return add(from, {bytes, 0, device, type, managed});
  }

  int fd;
  uint64_t base = 0;
  uint64_t ids = 0;
  std::map<uint64_t, Piece> pieces;
  std::map<int, int> attributes;
  bool started = false;
};

Driver& driver() {
  static Driver d;
  return d;
}

}  // namespace

extern "C" {

int cuInit(unsigned flags) {
  driver().started = flags == 0;
  return flags == 0 ? 0 : kInvalidValue;
}

int cuPointerGetAttributes(unsigned n, const int* which, void** out, uint64_t at) {
  const auto found = driver().at(at);
  const bool there = found != driver().pieces.end();
  for (unsigned i = 0; i < n; i++) {
    const uint32_t type = there ? found->second.type : 0;
    const uint32_t managed = there && found->second.managed ? 1 : 0;
    const uint64_t id = there ? found->second.id : 0;
    const int device = there ? found->second.device : -1;
    if (which[i] == 2) std::memcpy(out[i], &type, sizeof type);
    if (which[i] == 7) std::memcpy(out[i], &id, sizeof id);
    if (which[i] == 8) std::memcpy(out[i], &managed, sizeof managed);
    if (which[i] == 9) std::memcpy(out[i], &device, sizeof device);
  }
  return driver().started ? 0 : kInvalidValue;
}

int cuMemGetAddressRange_v2(uint64_t* base, size_t* bytes, uint64_t at) {
  const auto found = driver().at(at);
  if (found == driver().pieces.end()) return kInvalidValue;
  *base = found->first;
  *bytes = found->second.bytes;
  return 0;
}

int cuMemGetHandleForAddressRange(void* handle, uint64_t at, size_t bytes, int kind,
                                  unsigned long long flags) {
  Driver& d = driver();
  if (flags != 0) return kNotSupported;
  if (kind != 1 || at % kPage != 0 || bytes % kPage != 0 || bytes == 0) return kInvalidValue;
  if (at < d.base || at + bytes > d.base + kSpace) return kInvalidValue;
  // No page without memory of a device, and all of one device.
  int device = -1;
  for (uint64_t page = at; page < at + bytes; page += kPage) {
    auto piece = d.pieces.lower_bound(page);
    if (const auto over = d.at(page); over != d.pieces.end()) piece = over;
    if (piece == d.pieces.end() || piece->first >= page + kPage) return kInvalidValue;
    if (piece->second.type != 2 || piece->second.managed) return kInvalidValue;
    if (device >= 0 && piece->second.device != device) return kInvalidValue;
    device = piece->second.device;
  }
  const int copy = memfd_create("fake-dma-buf", MFD_CLOEXEC);
  if (copy < 0 ||
      write(copy, reinterpret_cast<const void*>(at), bytes) != static_cast<ssize_t>(bytes))
    return kInvalidValue;
  *static_cast<int*>(handle) = copy;
  return 0;
}

int cuDeviceGetAttribute(int* out, int which, int device) {
  if (device != 0 && device != 1) return kInvalidValue;
  const auto found = driver().attributes.find(which);
  if (found == driver().attributes.end()) return kInvalidValue;
  *out = found->second;
  return 0;
}

void fake_cuda_set(int attribute, int value) {
  driver().attributes[attribute] = value;
}
uint64_t fake_cuda_alloc(size_t bytes, int device) {
  return driver().alloc(bytes, device, 2, false);
}
uint64_t fake_cuda_alloc_managed(size_t bytes) {
  return driver().alloc(bytes, 0, 2, true);
}
uint64_t fake_cuda_alloc_host(size_t bytes) {
  return driver().alloc(bytes, 0, 1, false);
}
uint64_t fake_cuda_map(size_t offset, size_t bytes, int device) {
  if (offset % kSegment != 0 || bytes % kSegment != 0) return 0;
  return driver().add(driver().base + kSegmentsAt + offset, {bytes, 0, device, 2, false});
}
void fake_cuda_free(uint64_t address) {
  driver().pieces.erase(address);
}
void fake_cuda_reset() {
  fake_cuda_run(~uint64_t{0});
  fake_cuda_refuse_copy(-1);
  driver().pieces.clear();
  driver().attributes = {{75, 9}, {100, 0}, {124, 1}};
}
}
