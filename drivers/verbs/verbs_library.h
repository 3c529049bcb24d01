// VerbsLibrary: libibverbs, found at run time, so that what is built here starts on hosts that have
// none. The headers are needed to build; the library only to use a device.
#pragma once

#include <string>
#include <vector>

#include <infiniband/verbs.h>

#include "drivers/dpdk/or_sentence.h"

namespace penstock {

struct VerbsLibrary {
  // The one of this process, or why there is none. Prepares for forks before the first device.
  static OrSentence<const VerbsLibrary*> get();

  decltype(&::ibv_get_device_list) get_device_list;
  decltype(&::ibv_free_device_list) free_device_list;
  decltype(&::ibv_get_device_name) get_device_name;
  decltype(&::ibv_open_device) open_device;
  decltype(&::ibv_close_device) close_device;
  decltype(&::ibv_query_device) query_device;
  int (*query_port)(ibv_context*, uint8_t, _compat_ibv_port_attr*);
  int (*query_gid_ex)(ibv_context*, uint32_t, uint32_t, ibv_gid_entry*, uint32_t, size_t);
  decltype(&::ibv_alloc_pd) alloc_pd;
  decltype(&::ibv_dealloc_pd) dealloc_pd;
  ibv_mr* (*reg_mr)(ibv_pd*, void*, size_t, int);
  decltype(&::ibv_dereg_mr) dereg_mr;
  decltype(&::ibv_reg_dmabuf_mr) reg_dmabuf_mr;  // null: before rdma-core 34
  decltype(&::ibv_create_cq) create_cq;
  decltype(&::ibv_destroy_cq) destroy_cq;
  decltype(&::ibv_create_srq) create_srq;
  decltype(&::ibv_destroy_srq) destroy_srq;
  decltype(&::ibv_create_qp) create_qp;
  decltype(&::ibv_modify_qp) modify_qp;
  decltype(&::ibv_query_qp) query_qp;
  decltype(&::ibv_destroy_qp) destroy_qp;
  decltype(&::ibv_get_async_event) get_async_event;
  decltype(&::ibv_ack_async_event) ack_async_event;
  decltype(&::ibv_fork_init) fork_init;
};

// The names of this host's RDMA devices; empty where there are none, or no library.
std::vector<std::string> verbs_devices();

}  // namespace penstock
