#include "dataplane/net/resolver.h"

#include "dataplane/net/arp.h"
#include "dataplane/net/ethernet.h"
#include "dataplane/net/ndp.h"

namespace penstock {

static_assert(Resolver::kMaxFrame >= kNdpFrame && Resolver::kMaxFrame >= kMinFrame);

size_t Resolver::receive(std::span<const std::byte> frame, uint64_t now, std::span<std::byte> out) {
  const auto ethernet = parse_ethernet(frame);
  if (!ethernet) return 0;
  return ethernet->type == kTypeArp ? receive_arp(frame, now, out) : receive_ndp(frame, now, out);
}

size_t Resolver::receive_arp(std::span<const std::byte> frame, uint64_t now,
                             std::span<std::byte> out) {
  const auto a = parse_arp(frame);
  if (!a) return 0;
  learn(a->from_ip, a->from_mac, now);
  if (a->op != Arp::Op::kRequest || !us_.v4.is_v4() || a->to_ip != us_.v4) return 0;
  return write_arp({Arp::Op::kReply, us_.mac, us_.v4, a->from_mac, a->from_ip}, out);
}

size_t Resolver::receive_ndp(std::span<const std::byte> frame, uint64_t now,
                             std::span<std::byte> out) {
  const auto n = parse_ndp(frame);
  if (!n) return 0;
  if (n->kind == Ndp::Kind::kAdvertisement) {
    learn(n->target, n->mac, now);
    return 0;
  }
  learn(n->from, n->mac, now);
  if (!us_.v6.is_v6() || n->target != us_.v6) return 0;
  const bool to_all = n->from.is_unspecified();
  const IpAddress to = to_all ? all_nodes() : n->from;
  const MacAddress from_mac = parse_ethernet(frame)->from;
  const MacAddress to_mac = to_all ? multicast_mac(to) : n->mac.is_zero() ? from_mac : n->mac;
  return write_ndp({Ndp::Kind::kAdvertisement, !to_all, us_.v6, to, us_.v6, us_.mac}, to_mac, out);
}

size_t Resolver::poll(uint64_t now, std::span<std::byte> out) {
  while (const auto ip = neighbours_.take_due(now)) {
    if (ip->is_v4() && us_.v4.is_v4()) {
      return write_arp({Arp::Op::kRequest, us_.mac, us_.v4, {}, *ip}, out);
    }
    if (ip->is_v6() && us_.v6.is_v6()) {
      const IpAddress group = solicited_node(*ip);
      return write_ndp({Ndp::Kind::kSolicitation, false, us_.v6, group, *ip, us_.mac},
                       multicast_mac(group), out);
    }
  }
  return 0;
}

// A message may come without the address that it speaks of.
void Resolver::learn(const IpAddress& ip, const MacAddress& mac, uint64_t now) {
  if (!mac.is_zero() && neighbours_.learn(ip, mac, now)) changes_++;
}

}  // namespace penstock
