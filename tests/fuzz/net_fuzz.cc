// Any bytes as a received frame, in one piece and in two: the datagram lies within them, ARP and
// neighbour discovery survive, and what decap() takes comes out of Encap and decap() again as it
// was. The first byte says where the frame is cut.
#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "dataplane/net/arp.h"
#include "dataplane/net/decap.h"
#include "dataplane/net/encap.h"
#include "dataplane/net/ndp.h"
#include "dataplane/net/resolver.h"

namespace {

using namespace penstock;
using Bytes = std::span<const std::byte>;

constexpr uint16_t kPort = 4791;

void require(bool holds) {
  if (!holds) std::abort();
}

std::vector<std::byte> joined(const Datagram& d) {
  std::vector<std::byte> out(d.head.begin(), d.head.end());
  out.insert(out.end(), d.tail.begin(), d.tail.end());
  return out;
}

bool within(Bytes part, Bytes whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void again(const Datagram& d, const Station& us) {
  Encap encap({{}, us.mac, d.from(), d.v4 ? us.v4 : us.v6, d.from_port, kPort}, {});
  const auto payload = joined(d);
  std::vector<std::byte> front(encap.size());
  encap.write(front, payload);
  const Datagram e = decap(front, payload, us, kPort, false);
  require(e.arrival == Arrival::kUdp && e.from_port == d.from_port && e.from() == d.from());
  require(joined(e) == payload);
}

void resolve(Bytes frame, const Station& us) {
  Resolver resolver(us);
  resolver.neighbours().want(*parse_ip("10.0.0.1"), 0);
  resolver.neighbours().want(*parse_ip("fd00::1"), 0);
  std::vector<std::byte> out(Resolver::kMaxFrame);
  const size_t n = resolver.receive(frame, 1, out);
  require(n <= out.size() && n <= std::max<size_t>(frame.size() + 18, 60));
  if (const auto a = parse_arp(frame)) {
    std::vector<std::byte> arp(60);
    require(write_arp(*a, arp) == arp.size() && parse_arp(arp) == a);
  }
  parse_ndp(frame);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const Station kUs{{{2, 0, 0, 0, 0, 2}}, *parse_ip("10.0.0.2"), *parse_ip("fd00::2")};
  const Bytes frame = std::as_bytes(std::span(data + 1, size - 1));
  const size_t cut = std::min<size_t>(data[0], frame.size());
  const Bytes first = frame.first(cut), second = frame.subspan(cut);
  const Datagram whole = decap(frame, {}, kUs, kPort, false);
  for (const bool good : {false, true}) {
    const Datagram d = decap(first, second, kUs, kPort, good);
    if (d.arrival != Arrival::kUdp) continue;
    require(within(d.head, first) && within(d.tail, second));
    if (!good) require(whole.arrival == Arrival::kUdp && joined(whole) == joined(d));
    again(d, kUs);
  }
  resolve(frame, kUs);
  return 0;
}
