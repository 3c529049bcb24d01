#include "drivers/verbs/verbs_library.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>

// Macros that would rename the members.
#undef ibv_query_port
#undef ibv_reg_mr

namespace penstock {
namespace {

struct Loaded {
  VerbsLibrary library{};
  std::string why;  // empty: it is there
};

Loaded load() {
  Loaded out;
  void* handle = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    out.why = "no RDMA device: libibverbs.so.1 is not installed (Debian: libibverbs1)";
    return out;
  }
  const auto find = [&](auto& member, const char* name) {
    void* symbol = dlsym(handle, name);
    if (symbol == nullptr && out.why.empty())
      out.why = std::string("no RDMA device: libibverbs.so.1 is too old, it has no ") + name;
    std::memcpy(&member, &symbol, sizeof member);
  };
  VerbsLibrary& l = out.library;
  find(l.get_device_list, "ibv_get_device_list");
  find(l.free_device_list, "ibv_free_device_list");
  find(l.get_device_name, "ibv_get_device_name");
  find(l.open_device, "ibv_open_device");
  find(l.close_device, "ibv_close_device");
  find(l.query_device, "ibv_query_device");
  find(l.query_port, "ibv_query_port");
  find(l.query_gid_ex, "_ibv_query_gid_ex");
  find(l.alloc_pd, "ibv_alloc_pd");
  find(l.dealloc_pd, "ibv_dealloc_pd");
  find(l.reg_mr, "ibv_reg_mr");
  find(l.dereg_mr, "ibv_dereg_mr");
  find(l.create_cq, "ibv_create_cq");
  find(l.destroy_cq, "ibv_destroy_cq");
  find(l.create_srq, "ibv_create_srq");
  find(l.destroy_srq, "ibv_destroy_srq");
  find(l.create_qp, "ibv_create_qp");
  find(l.modify_qp, "ibv_modify_qp");
  find(l.query_qp, "ibv_query_qp");
  find(l.destroy_qp, "ibv_destroy_qp");
  find(l.get_async_event, "ibv_get_async_event");
  find(l.ack_async_event, "ibv_ack_async_event");
  find(l.fork_init, "ibv_fork_init");
  void* dma_buf = dlsym(handle, "ibv_reg_dmabuf_mr");  // may be missing
  std::memcpy(&l.reg_dmabuf_mr, &dma_buf, sizeof dma_buf);
  // A kernel without RDMA cannot say what it does at a fork; there is nothing to protect then.
  if (out.why.empty()) (void)l.fork_init();
  return out;
}

}  // namespace

OrSentence<const VerbsLibrary*> VerbsLibrary::get() {
  static const Loaded loaded = load();
  if (!loaded.why.empty()) return sentence(loaded.why);
  return &loaded.library;
}

std::vector<std::string> verbs_devices() {
  std::vector<std::string> names;
  const auto library = VerbsLibrary::get();
  if (!library) return names;
  int n = 0;
  // Null, with ENOSYS, where the kernel has no RDMA at all: no device, as good as an empty list.
  ibv_device** list = (*library)->get_device_list(&n);
  for (int i = 0; list != nullptr && i < n; i++)
    names.emplace_back((*library)->get_device_name(list[i]));
  if (list != nullptr) (*library)->free_device_list(list);
  return names;
}

}  // namespace penstock
