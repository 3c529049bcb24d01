#include "drivers/verbs/cm_library.h"

#include <cstring>
#include <dlfcn.h>
#include <string>

namespace penstock {
namespace {

struct Loaded {
  CmLibrary library{};
  std::string why;  // empty: it is there
};

Loaded load() {
  Loaded out;
  void* handle = dlopen("librdmacm.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    out.why = "no rdma_cm: librdmacm.so.1 is not installed (Debian: librdmacm1)";
    return out;
  }
  const auto find = [&](auto& member, const char* name) {
    void* symbol = dlsym(handle, name);
    if (symbol == nullptr && out.why.empty())
      out.why = std::string("no rdma_cm: librdmacm.so.1 is too old, it has no ") + name;
    std::memcpy(&member, &symbol, sizeof member);
  };
  CmLibrary& l = out.library;
  find(l.create_event_channel, "rdma_create_event_channel");
  find(l.destroy_event_channel, "rdma_destroy_event_channel");
  find(l.create_id, "rdma_create_id");
  find(l.destroy_id, "rdma_destroy_id");
  find(l.bind_addr, "rdma_bind_addr");
  find(l.listen, "rdma_listen");
  find(l.get_src_port, "rdma_get_src_port");
  find(l.set_option, "rdma_set_option");
  find(l.resolve_addr, "rdma_resolve_addr");
  find(l.resolve_route, "rdma_resolve_route");
  find(l.init_qp_attr, "rdma_init_qp_attr");
  find(l.connect, "rdma_connect");
  find(l.establish, "rdma_establish");
  find(l.accept, "rdma_accept");
  find(l.get_cm_event, "rdma_get_cm_event");
  find(l.ack_cm_event, "rdma_ack_cm_event");
  return out;
}

}  // namespace

OrSentence<const CmLibrary*> CmLibrary::get() {
  static const Loaded loaded = load();
  if (!loaded.why.empty()) return sentence(loaded.why);
  return &loaded.library;
}

}  // namespace penstock
