#include "drivers/udp/udp_carrier.h"

#include <cassert>
#include <cstring>

#include "dataplane/net/decap.h"

namespace penstock {
namespace {

struct Wire {
  uint8_t family;
  uint8_t reserved = 0;
  uint16_t udp_port;
  std::array<uint8_t, 6> mac;
  std::array<uint8_t, 6> reserved2{};
  std::array<uint8_t, 16> ip;
};
static_assert(sizeof(Wire) == sizeof(CarrierPlace));

}  // namespace

UdpCarrier::UdpCarrier(Port& port, const Station& us, uint16_t udp_port)
    : port_(port), us_(us), udp_port_(udp_port) {
  assert(ip().family != IpAddress::Family::kNone && udp_port != 0);
  header_ = kEthernetSize + (ip().is_v4() ? kIpv4Size : kIpv6Size) + kUdpSize;
}

CarrierPlace UdpCarrier::place() const {
  Wire w{};
  w.family = static_cast<uint8_t>(ip().family);
  w.udp_port = udp_port_;
  w.mac = us_.mac.bytes;
  w.ip = ip().bytes;
  CarrierPlace out;
  std::memcpy(out.data(), &w, sizeof w);
  return out;
}

Result<uint32_t> UdpCarrier::take_route(const CarrierPlace& to) {
  Wire w{};
  std::memcpy(&w, to.data(), sizeof w);
  Flow f;
  f.from_mac = us_.mac;
  f.to_mac.bytes = w.mac;
  f.from = ip();
  f.to.bytes = w.ip;
  f.to.family = static_cast<IpAddress::Family>(w.family);
  f.from_port = udp_port_;
  f.to_port = w.udp_port;
  if (f.to.family != f.from.family || f.to.is_multicast() || f.to.is_unspecified() ||
      f.to_mac.is_zero() || f.to_mac.is_multicast() || f.to_port == 0 || w.reserved != 0 ||
      w.reserved2 != decltype(w.reserved2){})
    return Errc::kInvalid;
  for (uint32_t i = 0; i < kRoutes; i++) {
    if (taken_[i]) continue;
    taken_[i] = true;
    const PortInfo& info = port_.info();
    routes_[i] = Encap(f, {.ip = info.tx_ip_checksum, .udp = info.tx_udp_checksum});
    return i;
  }
  return Errc::kFull;
}

std::span<CarrierFrame> UdpCarrier::alloc() {
  assert(allocated_ == 0);
  allocated_ = port_.tx_alloc(tx_);
  for (size_t i = 0; i < allocated_; i++)
    out_[i] = {tx_[i].data + header_, 0, 0};
  return {out_.data(), allocated_};
}

void UdpCarrier::send() {
  const PortInfo& info = port_.info();
  const uint32_t flags =
      (info.tx_udp_checksum ? kTxUdpChecksum : 0u) | (info.tx_ip_checksum ? kTxIpChecksum : 0u);
  size_t n = 0;
  for (; n < allocated_ && out_[n].len != 0; n++) {
    Frame& f = tx_[n];
    Encap& e = routes_[out_[n].route];
    f.len = static_cast<uint32_t>(header_) + out_[n].len;
    f.flags = flags;
    f.l2_len = e.l2_len();
    f.l3_len = e.l3_len();
    e.write({f.data, f.len}, {});
  }
  const size_t sent = n == 0 ? 0 : port_.tx_burst({tx_.data(), n});
  stats_.tx_full.add(n - sent);
  if (sent != allocated_) port_.release({tx_.data() + sent, allocated_ - sent});
  allocated_ = 0;
}

std::span<const std::span<const std::byte>> UdpCarrier::receive() {
  assert(received_ == 0);
  received_ = port_.rx_burst(rx_);
  size_t n = 0;
  for (size_t i = 0; i < received_; i++) {
    const Frame& f = rx_[i];
    const bool checked = (f.flags & kRxChecksumGood) != 0;
    const Datagram d =
        (f.flags & kRxChecksumBad) != 0
            ? Datagram{}
            : decap({f.data, f.len}, {f.payload, f.payload_len}, us_, udp_port_, checked);
    if (d.arrival == Arrival::kUdp && d.tail.empty()) {
      in_[n++] = d.head;
    } else {
      stats_.foreign.add(1);
    }
  }
  if (n == 0) release();
  return {in_.data(), n};
}

void UdpCarrier::release() {
  if (received_ != 0) port_.release({rx_.data(), received_});
  received_ = 0;
}

}  // namespace penstock
