#include "control/config/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <fmt/format.h>

namespace penstock {

namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// An address that one host can have: not the unspecified one, not multicast, not broadcast.
bool unicast(const IpAddress& a) {
  if (std::ranges::all_of(a.bytes, [](uint8_t b) { return b == 0; })) return false;
  return a.v6 ? a.bytes[0] != 0xff : a.bytes[0] < 224;
}

}  // namespace

Parsed<IpAddress> parse_address(std::string_view text) {
  const std::string z(text);
  IpAddress address;
  address.v6 = z.find(':') != std::string::npos;
  if (z.size() != text.size() || z.find('\0') != std::string::npos ||
      inet_pton(address.v6 ? AF_INET6 : AF_INET, z.c_str(), address.bytes.data()) != 1) {
    return tl::unexpected(std::string("is not an address"));
  }
  if (!unicast(address)) return tl::unexpected(std::string("is not the address of one host"));
  return address;
}

Parsed<IpPrefix> parse_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return tl::unexpected(std::string("has no prefix length"));
  }
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return tl::unexpected(address.error());
  const std::string_view digits = text.substr(slash + 1);
  uint8_t bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc() || end != digits.data() + digits.size() || bits == 0 ||
      bits > (address->v6 ? 128 : 32)) {
    return tl::unexpected(
        fmt::format("has a prefix length that is not 1 to {}", address->v6 ? 128 : 32));
  }
  return IpPrefix{*address, bits};
}

Parsed<MacAddress> parse_mac(std::string_view text) {
  MacAddress mac{};
  bool good = text.size() == 17;
  for (size_t i = 0; good && i < mac.size(); i++) {
    const int high = hex(text[3 * i]), low = hex(text[3 * i + 1]);
    good = high >= 0 && low >= 0 && (i == 5 || text[3 * i + 2] == ':');
    mac[i] = static_cast<uint8_t>(high * 16 + low);
  }
  if (!good) return tl::unexpected(std::string("is not a MAC address"));
  if ((mac[0] & 1) != 0 || mac == MacAddress{}) {
    return tl::unexpected(std::string("is not the MAC address of one host"));
  }
  return mac;
}

Parsed<Neighbour> parse_neighbour(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return tl::unexpected(std::string("is not ADDRESS=MAC"));
  const auto address = parse_address(text.substr(0, equals));
  if (!address) return tl::unexpected(address.error());
  const auto mac = parse_mac(text.substr(equals + 1));
  if (!mac) return tl::unexpected(mac.error());
  return Neighbour{*address, *mac};
}

std::string format_address(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
  return text;
}

std::string format_prefix(const IpPrefix& prefix) {
  return fmt::format("{}/{}", format_address(prefix.address), prefix.bits);
}

std::string format_mac(const MacAddress& mac) {
  return fmt::format("{:02x}", fmt::join(mac, ":"));
}

bool contains(const IpPrefix& prefix, const IpAddress& address) {
  if (prefix.address.v6 != address.v6) return false;
  for (unsigned bit = 0; bit < prefix.bits; bit++) {
    const int differ = prefix.address.bytes[bit / 8] ^ address.bytes[bit / 8];
    if ((differ >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

}  // namespace penstock
