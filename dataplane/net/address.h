// Addresses: of an Ethernet port, of an IPv4 or IPv6 host. Plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  bool operator==(const MacAddress&) const = default;
  bool is_zero() const { return *this == MacAddress{}; }
  bool is_multicast() const { return (bytes[0] & 1) != 0; }  // broadcast too

  static MacAddress load(const std::byte* at) {
    MacAddress m;
    std::memcpy(m.bytes.data(), at, m.bytes.size());
    return m;
  }
  void store(std::byte* at) const { std::memcpy(at, bytes.data(), bytes.size()); }
};

inline constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct IpAddress {
  enum class Family : uint8_t { kNone, kV4, kV6 };

  std::array<uint8_t, 16> bytes{};  // in network order; IPv4: the first four, the rest 0
  Family family = Family::kNone;

  bool operator==(const IpAddress&) const = default;
  bool is_v4() const { return family == Family::kV4; }
  bool is_v6() const { return family == Family::kV6; }
  size_t size() const { return is_v4() ? 4 : is_v6() ? 16 : 0; }
  bool is_multicast() const {  // the broadcast address 255.255.255.255 too
    return is_v4() ? bytes[0] >= 224 && (bytes[0] < 240 || bytes[0] == 255)
                   : is_v6() && bytes[0] == 0xff;
  }
  bool is_unspecified() const { return bytes == IpAddress{}.bytes; }

  static IpAddress v4(const std::byte* at) {
    IpAddress a;
    std::memcpy(a.bytes.data(), at, 4);
    a.family = Family::kV4;
    return a;
  }
  static IpAddress v6(const std::byte* at) {
    IpAddress a;
    std::memcpy(a.bytes.data(), at, 16);
    a.family = Family::kV6;
    return a;
  }
  void store(std::byte* at) const { std::memcpy(at, bytes.data(), size()); }
};

// What one of our ports is called. It has an IPv4 or an IPv6 address, or one of each.
struct Station {
  MacAddress mac;
  IpAddress v4;
  IpAddress v6;
};

// "02:00:5e:10:00:01", hexadecimal digits of either case.
std::optional<MacAddress> parse_mac(std::string_view text);
std::string format(const MacAddress& mac);

// "10.0.0.1" or "fd00::1"; no port, no prefix length, no zone.
std::optional<IpAddress> parse_ip(std::string_view text);
std::string format(const IpAddress& ip);

}  // namespace penstock
