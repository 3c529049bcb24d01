// CookieJar: proves that who asks for a session gets what is sent to its address, without
// remembering anybody (the stateless cookie of TCP's SYN cookies and DTLS, RFC 9147 5.1). Owned by
// the worker of a port. SipHash-2-4 (Aumasson, Bernstein 2012) under a secret of this process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/address.h"

namespace penstock {

class CookieJar {
 public:
  using Secret = std::array<unsigned char, 16>;

  // From the kernel; ends the process when there is none to be had.
  CookieJar();
  // The same cookies each time: for simulations.
  explicit CookieJar(uint64_t seed);

  // For what is asked (any bytes), from that address and port, at that time in ns. Never 0.
  uint64_t bake(const IpAddress& from, uint16_t port, std::span<const std::byte> asked,
                uint64_t now) const {
    return bake_in(from, port, asked, now / kPeriodNs);
  }
  // Whether bake() has given it for the same within the last one to two minutes.
  bool good(uint64_t cookie, const IpAddress& from, uint16_t port, std::span<const std::byte> asked,
            uint64_t now) const {
    const uint64_t period = now / kPeriodNs;
    return cookie == bake_in(from, port, asked, period) ||
           (period != 0 && cookie == bake_in(from, port, asked, period - 1));
  }

 private:
  static constexpr uint64_t kPeriodNs = 60'000'000'000;

  uint64_t bake_in(const IpAddress& from, uint16_t port, std::span<const std::byte> asked,
                   uint64_t period) const;

  Secret secret_;
};

}  // namespace penstock
