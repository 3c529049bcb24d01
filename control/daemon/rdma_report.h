// `penstockd --rdma`: the RDMA ports of this host, for `penstock doctor`.
#pragma once

#include <string>

namespace penstock {

// One line of JSON: {"why": "", "ports": [{"device", "port", "fault", "address", "gid_index",
// "mtu", "dma_buf"}]}; "why" is a sentence when there are none.
std::string rdma_report();

}  // namespace penstock
