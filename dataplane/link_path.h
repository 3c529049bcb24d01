// LinkPath: a link and the way its frames take: the headers in front of them and the neighbour that
// they go to. Owned by control, used by the worker that it was added to.
#pragma once

#include <cstdint>

#include "dataplane/link/link.h"
#include "dataplane/net/address.h"
#include "dataplane/net/encap.h"

namespace penstock {

struct LinkPath {
  struct Config {
    LinkConfig link;  // max_frame is set by LinkPath from `max_packet`
    IpAddress local;  // of the port
    IpAddress remote;
    uint16_t local_udp = 0;  // source port: path entropy
    uint16_t remote_udp = 0;
    uint32_t max_frame = 0;  // bytes of an Ethernet frame that the port can send
  };
  explicit LinkPath(const Config& config);

  Config config;
  Link link;
  Encap encap;
  bool resolved = false;      // the next hop's MAC is in `encap`
  uint64_t next_resolve = 0;  // when to ask for it again
};

}  // namespace penstock
