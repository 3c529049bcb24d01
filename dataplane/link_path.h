// LinkPath: a link and the way its frames take: the headers in front of them and the neighbour that
// they go to. Owned by control, used by the worker whose port it was added to.
#pragma once

#include <cstdint>

#include "dataplane/link/link.h"
#include "dataplane/net/address.h"
#include "dataplane/net/encap.h"

namespace penstock {

struct LinkPath {
  struct Config {
    LinkConfig link;  // max_frame is filled in by the port
    IpAddress remote;
    uint16_t local_udp = 0;  // source port: path entropy
    uint16_t remote_udp = 0;
  };

  // `max_frame`: bytes of an Ethernet frame that the port can send.
  LinkPath(const Config& c, uint32_t max_frame) : config(c), link(link_config(c, max_frame)) {}

  Config config;
  Link link;
  // The worker's.
  Encap encap;
  IpAddress next_hop;
  bool resolved = false;  // the next hop's MAC is in `encap`
  uint64_t retry_at = 0;  // no RETRY to who calls from there before

 private:
  static LinkConfig link_config(const Config& c, uint32_t max_frame) {
    constexpr uint32_t kMaxUdp = 65'507;
    const size_t headers = kEthernetSize + (c.remote.is_v4() ? kIpv4Size : kIpv6Size) + kUdpSize;
    LinkConfig l = c.link;
    l.max_frame = max_frame - static_cast<uint32_t>(headers);
    if (l.max_frame > kMaxUdp) l.max_frame = kMaxUdp;
    return l;
  }
};

}  // namespace penstock
