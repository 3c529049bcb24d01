// CudaLibrary: NVIDIA's driver library, found at run time. Neither its headers nor CUDA are needed
// to build: the few calls that are made stand here, with the numbers of the driver's binary
// interface, which never change. A host without it offers no memory of GPUs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "drivers/dpdk/or_sentence.h"

namespace penstock {

// CUresult: 0 is success.
using CudaResult = int;
using CudaAddress = uint64_t;
using CudaContext = struct CudaContextTag*;
using CudaStream = struct CudaStreamTag*;
using CudaEvent = struct CudaEventTag*;

inline constexpr CudaResult kCudaNotReady = 600;       // of an event: not yet
inline constexpr unsigned kCudaStreamNonBlocking = 1;  // does not wait for the default stream
inline constexpr unsigned kCudaEventNoTiming = 2;
inline constexpr unsigned kCudaHostPortable = 1;  // locked for all contexts

enum CudaPointerAttribute : int {
  kCudaMemoryType = 2,  // uint32_t, a CudaMemoryType; 0: not CUDA's
  kCudaBufferId = 7,    // uint64_t, another one for each allocation of the process
  kCudaIsManaged = 8,   // uint32_t: it moves between host and device
  kCudaOrdinal = 9,     // int: the device
};

enum CudaMemoryType : uint32_t { kCudaHost = 1, kCudaDevice = 2 };

enum CudaDeviceAttribute : int {
  kCudaMajor = 75,        // of the architecture: 9 for sm_90
  kCudaHostTables = 100,  // 1: its pages are the host's, over a coherent link (C2C)
  kCudaDmaBuf = 124,      // 1: its memory can be had as a dma-buf
};

inline constexpr int kCudaDmaBufFd = 1;  // what cuMemGetHandleForAddressRange is to give

struct CudaLibrary {
  // Loads and starts it. The error is a sentence. Tests name a library of their own.
  static OrSentence<CudaLibrary> open(const char* name = "libcuda.so.1");

  CudaResult (*init)(unsigned flags);
  CudaResult (*pointer_attributes)(unsigned n, const int* which, void** out, CudaAddress at);
  CudaResult (*address_range)(CudaAddress* base, size_t* bytes, CudaAddress at);
  CudaResult (*handle_for_range)(void* handle, CudaAddress at, size_t bytes, int kind,
                                 unsigned long long flags);
  CudaResult (*device_attribute)(int* out, int which, int device);
  // For staging only.
  CudaResult (*context_retain)(CudaContext* out, int device);
  CudaResult (*context_release)(int device);
  CudaResult (*context_set)(CudaContext context);
  CudaResult (*host_alloc)(void** out, size_t bytes, unsigned flags);
  CudaResult (*host_free)(void* at);
  CudaResult (*stream_create)(CudaStream* out, unsigned flags);
  CudaResult (*stream_destroy)(CudaStream stream);
  CudaResult (*stream_synchronize)(CudaStream stream);
  CudaResult (*event_create)(CudaEvent* out, unsigned flags);
  CudaResult (*event_destroy)(CudaEvent event);
  CudaResult (*event_record)(CudaEvent event, CudaStream stream);
  CudaResult (*event_query)(CudaEvent event);
  CudaResult (*copy_to_host)(void* to, CudaAddress from, size_t bytes, CudaStream stream);
};

}  // namespace penstock
