// StagedPuts: memory of a GPU that no RDMA device can read goes to a peer by way of the host:
// copied into a few locked buffers, and put from there, while the next is being copied. The copy
// costs what it costs, and is counted; the wire does not wait for it.
//
//   GPU ══ copy, on a stream ══▶ [ buffer ][ buffer ][ buffer ] ══ put with immediate ══▶ peer
//           begun_ ...................... put_ ............. freed_      positions, in chunks
//
// One transfer at a time, in chunks of a buffer, which land in any order: count their immediates
// (imm_counter.h). open() and the end are control's; begin() and poll() belong to the worker that
// owns the endpoint, whose thread needs use_here() once. What the GPU still writes when begin() is
// called is not waited for. Before this ends, nothing that it posted may be under way.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "drivers/gpu/cuda_library.h"
#include "rdma/poster.h"

namespace penstock {

class StagedPuts {
 public:
  static constexpr uint32_t kMostBuffers = 4;

  struct Config {
    int device = 0;  // the GPU
    uint32_t buffers = 3;
    uint32_t buffer_bytes = 1 << 20;
  };
  struct Transfer {
    const std::byte* from = nullptr;
    uint64_t bytes = 0;
    uint64_t remote_address = 0;
    uint32_t remote_key = 0;
    uint32_t slot = 0;  // chunk i arrives as imm_of(slot, i)
  };
  struct Stats {
    uint64_t copies = 0;      // begun
    uint64_t puts = 0;        // posted
    uint64_t bytes = 0;       // copied to the host: what another way would have saved
    uint64_t overlapped = 0;  // copies begun while a put was under way
  };

  // Both outlive this.
  static OrSentence<std::unique_ptr<StagedPuts>> open(const CudaLibrary& cuda, Fabric& fabric,
                                                      const Config& config);
  ~StagedPuts();
  StagedPuts(const StagedPuts&) = delete;
  StagedPuts& operator=(const StagedPuts&) = delete;

  // Once in the thread that calls begin() and poll(). False: the driver refuses.
  bool use_here() const { return cuda_.context_set(context_) == 0; }
  // False: the one before is not over, this has more chunks than an immediate counts, or it failed.
  bool begin(const Transfer& transfer);
  // Moves on; returns the work that it did. To be called until idle().
  uint32_t poll(Poster& poster);

  // All of the last transfer was put, and its buffers are free.
  bool idle() const { return freed_ == chunks_; }
  // The GPU's driver or the endpoint did: nothing more is begun or put.
  bool failed() const { return failed_; }
  const Stats& stats() const { return stats_; }

 private:
  struct Buffer {
    std::byte* memory = nullptr;
    CudaEvent copied = nullptr;
    Registration registration;
    uint64_t position = 0;  // of its put, in the poster
  };

  StagedPuts(const CudaLibrary& cuda, Fabric& fabric, const Config& config)
      : cuda_(cuda), fabric_(fabric), config_(config) {}
  bool start();
  Buffer& buffer(uint64_t chunk) { return buffers_[chunk % config_.buffers]; }
  uint32_t bytes_of(uint64_t chunk) const;
  uint32_t free_buffers(const Poster& poster);
  uint32_t put_copied(Poster& poster);
  uint32_t begin_copies();

  const CudaLibrary& cuda_;
  Fabric& fabric_;
  const Config config_;
  CudaContext context_ = nullptr;
  CudaStream stream_ = nullptr;
  std::array<Buffer, kMostBuffers> buffers_{};
  Transfer transfer_;
  Stats stats_;
  uint64_t chunks_ = 0;
  uint64_t begun_ = 0;  // chunks before it are copied or being copied,
  uint64_t put_ = 0;    // these were posted,
  uint64_t freed_ = 0;  // and these are through
  bool failed_ = false;
};

}  // namespace penstock
