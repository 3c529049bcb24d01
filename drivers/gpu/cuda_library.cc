#include "drivers/gpu/cuda_library.h"

#include <cstring>
#include <dlfcn.h>

namespace penstock {

OrSentence<CudaLibrary> CudaLibrary::open(const char* name) {
  const std::string none = "no GPU: ";
  void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);  // stays: the driver cannot be unloaded
  if (handle == nullptr) return sentence(none + name + " is not installed (NVIDIA's driver)");
  CudaLibrary l{};
  std::string missing;
  const auto find = [&](auto& member, const char* symbol_name) {
    void* symbol = dlsym(handle, symbol_name);
    if (symbol == nullptr && missing.empty()) missing = symbol_name;
    std::memcpy(&member, &symbol, sizeof member);
  };
  find(l.init, "cuInit");
  find(l.pointer_attributes, "cuPointerGetAttributes");
  find(l.address_range, "cuMemGetAddressRange_v2");
  find(l.handle_for_range, "cuMemGetHandleForAddressRange");
  find(l.device_attribute, "cuDeviceGetAttribute");
  find(l.context_retain, "cuDevicePrimaryCtxRetain");
  find(l.context_release, "cuDevicePrimaryCtxRelease_v2");
  find(l.context_set, "cuCtxSetCurrent");
  find(l.host_alloc, "cuMemHostAlloc");
  find(l.host_free, "cuMemFreeHost");
  find(l.stream_create, "cuStreamCreate");
  find(l.stream_destroy, "cuStreamDestroy_v2");
  find(l.stream_synchronize, "cuStreamSynchronize");
  find(l.event_create, "cuEventCreate");
  find(l.event_destroy, "cuEventDestroy_v2");
  find(l.event_record, "cuEventRecord");
  find(l.event_query, "cuEventQuery");
  find(l.copy_to_host, "cuMemcpyDtoHAsync_v2");
  if (!missing.empty())
    return sentence(none + name + " is too old, it has no " + missing + "; CUDA 11.7 has");
  if (const CudaResult r = l.init(0); r != 0)
    return sentence(none + "cuInit fails with " + std::to_string(r) + "; nvidia-smi says more");
  return l;
}

}  // namespace penstock
