#include "drivers/verbs/verbs_ports.h"

#include "drivers/verbs/verbs_fabric.h"

namespace penstock {
namespace {

uint8_t port_count(const VerbsLibrary& v, ibv_device* device) {
  ibv_context* context = v.open_device(device);
  if (context == nullptr) return 1;  // opening its first port says why
  ibv_device_attr attributes{};
  const int rc = v.query_device(context, &attributes);
  v.close_device(context);
  return rc == 0 ? attributes.phys_port_cnt : 1;
}

VerbsPort look_at(const std::string& device, uint8_t port) {
  VerbsPort out;
  out.device = device;
  out.port = port;
  const auto fabric = VerbsFabric::open({.device = device, .port = port, .max_endpoints = 1});
  if (!fabric) {
    out.fault = fabric.error();
    return out;
  }
  const VerbsFabric::Place& place = (*fabric)->place();
  out.gid_index = place.gid_index;
  out.address = place.ethernet ? text(place.gid) : "LID " + std::to_string(place.lid);
  out.mtu = bytes(place.mtu);
  out.gbps = (*fabric)->limits().gbps;
  out.dma_buf = (*fabric)->takes_dma_buf();
  return out;
}

}  // namespace

VerbsPorts verbs_ports() {
  VerbsPorts out;
  const auto library = VerbsLibrary::get();
  if (!library) {
    out.why = library.error();
    return out;
  }
  int n = 0;
  ibv_device** list = (*library)->get_device_list(&n);
  for (int i = 0; list != nullptr && i < n; i++) {
    const std::string name = (*library)->get_device_name(list[i]);
    const uint8_t ports = port_count(**library, list[i]);
    for (uint8_t port = 1; port <= ports && port != 0; port++)
      out.ports.push_back(look_at(name, port));
  }
  if (list != nullptr) (*library)->free_device_list(list);
  if (out.ports.empty()) out.why = "no RDMA device: this host has none";
  return out;
}

}  // namespace penstock
