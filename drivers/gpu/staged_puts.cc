#include "drivers/gpu/staged_puts.h"

#include <algorithm>

namespace penstock {

OrSentence<std::unique_ptr<StagedPuts>> StagedPuts::open(const CudaLibrary& cuda, Fabric& fabric,
                                                         const Config& config) {
  if (config.buffers == 0 || config.buffers > kMostBuffers || config.buffer_bytes == 0 ||
      config.buffer_bytes > fabric.limits().max_message)
    return sentence("staging: 1 to 4 buffers, no larger than a message of the RDMA device");
  std::unique_ptr<StagedPuts> s(new StagedPuts(cuda, fabric, config));
  if (!s->start())
    return sentence("staging: GPU " + std::to_string(config.device) +
                    " or the RDMA device has no room for locked buffers");
  return s;
}

bool StagedPuts::start() {
  if (cuda_.context_retain(&context_, config_.device) != 0) {
    context_ = nullptr;
    return false;
  }
  if (!use_here() || cuda_.stream_create(&stream_, kCudaStreamNonBlocking) != 0) return false;
  for (uint32_t i = 0; i < config_.buffers; i++) {
    Buffer& b = buffers_[i];
    void* memory = nullptr;
    if (cuda_.event_create(&b.copied, kCudaEventNoTiming) != 0 ||
        cuda_.host_alloc(&memory, config_.buffer_bytes, kCudaHostPortable) != 0)
      return false;
    b.memory = static_cast<std::byte*>(memory);
    const auto r = fabric_.register_memory(b.memory, config_.buffer_bytes, 0);
    if (!r.ok()) return false;
    b.registration = *r;
  }
  return true;
}

StagedPuts::~StagedPuts() {
  if (context_ == nullptr) return;
  (void)use_here();
  if (stream_ != nullptr) cuda_.stream_synchronize(stream_);
  for (const Buffer& b : buffers_) {
    if (b.registration.handle != nullptr) fabric_.deregister(b.registration);
    if (b.memory != nullptr) cuda_.host_free(b.memory);
    if (b.copied != nullptr) cuda_.event_destroy(b.copied);
  }
  if (stream_ != nullptr) cuda_.stream_destroy(stream_);
  cuda_.context_release(config_.device);
}

bool StagedPuts::begin(const Transfer& transfer) {
  if (!idle() || failed_ || transfer.bytes == 0) return false;
  const uint64_t chunks = (transfer.bytes - 1) / config_.buffer_bytes + 1;
  if (chunks > kImmChunks || transfer.slot >= kImmSlots) return false;
  transfer_ = transfer;
  chunks_ = chunks;
  begun_ = put_ = freed_ = 0;
  return true;
}

uint32_t StagedPuts::bytes_of(uint64_t chunk) const {
  return static_cast<uint32_t>(
      std::min<uint64_t>(config_.buffer_bytes, transfer_.bytes - chunk * config_.buffer_bytes));
}

// Back to front: what becomes free is used at once, and a copy is begun before anybody waits.
uint32_t StagedPuts::poll(Poster& poster) {
  uint32_t work = free_buffers(poster);
  if (poster.failed()) failed_ = true;
  if (failed_) return work;
  work += put_copied(poster);
  work += begin_copies();
  return work;
}

uint32_t StagedPuts::free_buffers(const Poster& poster) {
  uint32_t n = 0;
  for (; freed_ < put_ && poster.done() > buffer(freed_).position; n++)
    freed_++;
  return n;
}

uint32_t StagedPuts::put_copied(Poster& poster) {
  uint32_t n = 0;
  for (; put_ < begun_; n++) {
    Buffer& b = buffer(put_);
    const CudaResult copied = cuda_.event_query(b.copied);
    if (copied != 0) {
      failed_ = copied != kCudaNotReady;
      break;
    }
    FabricRequest r;
    r.op = FabricOp::kPutImmediate;
    r.signalled = true;  // a buffer is waited for
    r.immediate = imm_of(transfer_.slot, static_cast<uint32_t>(put_));
    r.local = b.memory;
    r.bytes = bytes_of(put_);
    r.local_key = b.registration.local_key;
    r.remote_address = transfer_.remote_address + put_ * config_.buffer_bytes;
    r.remote_key = transfer_.remote_key;
    if (!poster.add(r)) break;
    b.position = poster.added() - 1;
    stats_.puts++;
    put_++;
  }
  if (n != 0) poster.flush();
  return n;
}

uint32_t StagedPuts::begin_copies() {
  uint32_t n = 0;
  for (; !failed_ && begun_ < chunks_ && begun_ - freed_ < config_.buffers; n++) {
    Buffer& b = buffer(begun_);
    const uint64_t at = begun_ * config_.buffer_bytes;
    const auto from = static_cast<CudaAddress>(reinterpret_cast<uintptr_t>(transfer_.from)) + at;
    failed_ = cuda_.copy_to_host(b.memory, from, bytes_of(begun_), stream_) != 0 ||
              cuda_.event_record(b.copied, stream_) != 0;
    if (failed_) break;
    stats_.copies++;
    stats_.bytes += bytes_of(begun_);
    if (freed_ < put_) stats_.overlapped++;
    begun_++;
  }
  return n;
}

}  // namespace penstock
