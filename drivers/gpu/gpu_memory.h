// GpuMemory: what memory of GPUs is: whose an address is, which allocation holds it, and that
// allocation as a dma-buf, for an RDMA device to register. Control only: each call asks the driver.
//
//   address ──▶ kind_of ──▶ find: allocation and life of it ──▶ RegistrationCache
//                             └──▶ export_dma_buf ──▶ descriptor, where in it ──▶ RDMA device
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/fd.h"
#include "drivers/gpu/cuda_library.h"
#include "rdma/registration_cache.h"

namespace penstock {

// Memory as somebody else's device may reach it.
struct DmaBuf {
  Fd fd;
  uint64_t offset = 0;  // of the first byte that was asked for
};

enum class MemoryKind : uint8_t {
  kHost,     // also what CUDA has locked
  kGpu,      // stays where it is
  kManaged,  // moves between host and GPU: no device can register it
};

class GpuMemory final : public Allocations {
 public:
  // `cuda` outlives this.
  explicit GpuMemory(const CudaLibrary& cuda) : cuda_(cuda) {}

  MemoryKind kind_of(const std::byte* at) const;

  // The allocation that holds all of a view. Where it is mapped from segments (expandable ones of
  // PyTorch), that is all those that the view touches, and each must be there. Its id is another
  // one when any of it was freed and allocated again. kNotFound: some of it is no GPU's memory, or
  // of different GPUs.
  Result<Allocation> find(const std::byte* at, uint64_t bytes) const override;

  // Memory that find() gave, or a part of it. Pages of a GPU are of 64 KiB, so the buffer begins
  // before `at` and ends behind it: register from `offset` on. kInvalid: the GPU gives none; with
  // nvidia_peermem loaded an RDMA device may take the address itself.
  Result<DmaBuf> export_dma_buf(const std::byte* at, uint64_t bytes) const;

  // Whether a put that has arrived, as its immediate says, may still be on its way into the memory
  // of this GPU, so that a read through the same NIC (FabricOp::kFlush) must come first: before
  // sm_90, and wherever GPU and CPU share a coherent link. Unknown counts as yes.
  bool needs_flush(const std::byte* at) const;

 private:
  struct Place {
    MemoryKind kind = MemoryKind::kHost;
    uint64_t id = 0;
    int device = -1;
  };
  Place place_of(CudaAddress at) const;

  const CudaLibrary& cuda_;
};

}  // namespace penstock
