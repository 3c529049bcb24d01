#include "dataplane/net/encap.h"

#include <cassert>
#include <cstring>

namespace penstock {
namespace {

constexpr size_t kIpAt = kEthernetSize;
constexpr uint8_t kMayBeMarked = 2;  // ECT(0), RFC 3168

}  // namespace

Encap::Encap(const Flow& flow, ChecksumOffload offload)
    : v4_(flow.from.is_v4()), offload_(offload), from_port_(flow.from_port) {
  assert(flow.from.size() != 0 && flow.from.family == flow.to.family);
  const std::span out(template_);
  write_ethernet({flow.to_mac, flow.from_mac, v4_ ? kTypeIpv4 : kTypeIpv6}, out);
  if (v4_) {
    write_ipv4({}, flow.from, flow.to, out.subspan(kIpAt));
    store_u8(&template_[kIpAt + 1], kMayBeMarked);
    store_be16(&template_[kIpAt + 10], 0);
    ip_sum_ = ones_sum(out.subspan(kIpAt, kIpv4Size));
  } else {
    write_ipv6({}, flow.from, flow.to, out.subspan(kIpAt));
    store_u8(&template_[kIpAt + 1], kMayBeMarked << 4);
  }
  const size_t udp_at = kIpAt + (v4_ ? kIpv4Size : kIpv6Size);
  write_udp({flow.from_port, flow.to_port, 0, 0}, out.subspan(udp_at));
  size_ = udp_at + kUdpSize;
  pseudo_sum_ =
      static_cast<uint16_t>(~pseudo_header(flow.from, flow.to, kProtocolUdp, 0).checksum());
  udp_sum_ = fold(uint64_t{pseudo_sum_} + flow.to_port);
}

void Encap::write(std::span<std::byte> frame, std::span<const std::byte> payload,
                  uint32_t source_port) {
  assert(size_ != 0 && frame.size() >= size_);
  const size_t udp_len = kUdpSize + frame.size() - size_ + payload.size();
  assert(udp_len <= 65535 - kIpv4Size);
  const auto len = static_cast<uint16_t>(udp_len);
  std::byte* ip = frame.data() + kIpAt;
  std::byte* udp = frame.data() + size_ - kUdpSize;
  if (v4_) {
    std::memcpy(frame.data(), template_.data(), kIpAt + kIpv4Size + kUdpSize);
    const auto total = static_cast<uint16_t>(len + kIpv4Size);
    id_++;
    store_be16(ip + 2, total);
    store_be16(ip + 4, id_);
    if (!offload_.ip) {
      store_be16(ip + 10, static_cast<uint16_t>(~fold(uint64_t{ip_sum_} + total + id_)));
    }
  } else {
    std::memcpy(frame.data(), template_.data(), kMaxSize);
    store_be16(ip + 4, len);
  }
  const uint16_t from = penstock::source_port(from_port_, source_port);
  store_be16(udp, from);
  store_be16(udp + 4, len);
  if (offload_.udp) {
    store_be16(udp + 6, fold(uint64_t{pseudo_sum_} + len));
    return;
  }
  InternetSum sum;
  sum.add(uint64_t{udp_sum_} + from + 2 * uint64_t{len}).add(frame.subspan(size_)).add(payload);
  const uint16_t checksum = sum.checksum();
  store_be16(udp + 6, checksum == 0 ? 0xffff : checksum);  // 0 would say: not computed
}

}  // namespace penstock
