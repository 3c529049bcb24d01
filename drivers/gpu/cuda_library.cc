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
  if (!missing.empty())
    return sentence(none + name + " is too old, it has no " + missing + "; CUDA 11.7 has");
  if (const CudaResult r = l.init(0); r != 0)
    return sentence(none + "cuInit fails with " + std::to_string(r) + "; nvidia-smi says more");
  return l;
}

}  // namespace penstock
