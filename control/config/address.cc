#include "control/config/address.h"

#include <charconv>
#include <fmt/format.h>

namespace penstock {

Parsed<IpAddress> parse_host(std::string_view text) {
  const auto address = parse_ip(text);
  if (!address) return tl::unexpected(std::string("is not an address"));
  if (address->is_unspecified() || address->is_multicast()) {
    return tl::unexpected(std::string("is not the address of one host"));
  }
  return *address;
}

Parsed<MacAddress> parse_host_mac(std::string_view text) {
  const auto mac = parse_mac(text);
  if (!mac) return tl::unexpected(std::string("is not a MAC address"));
  if (mac->is_zero() || mac->is_multicast()) {
    return tl::unexpected(std::string("is not the MAC address of one host"));
  }
  return *mac;
}

Parsed<IpPrefix> parse_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return tl::unexpected(std::string("has no prefix length"));
  }
  const auto address = parse_host(text.substr(0, slash));
  if (!address) return tl::unexpected(address.error());
  const std::string_view digits = text.substr(slash + 1);
  uint8_t bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc() || end != digits.data() + digits.size() || bits == 0 ||
      bits > 8 * address->size()) {
    return tl::unexpected(
        fmt::format("has a prefix length that is not 1 to {}", 8 * address->size()));
  }
  return IpPrefix{*address, bits};
}

Parsed<Neighbour> parse_neighbour(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return tl::unexpected(std::string("is not ADDRESS=MAC"));
  const auto address = parse_host(text.substr(0, equals));
  if (!address) return tl::unexpected(address.error());
  const auto mac = parse_host_mac(text.substr(equals + 1));
  if (!mac) return tl::unexpected(mac.error());
  return Neighbour{*address, *mac};
}

std::string format(const IpPrefix& prefix) {
  return fmt::format("{}/{}", format(prefix.address), prefix.bits);
}

bool contains(const IpPrefix& prefix, const IpAddress& address) {
  if (prefix.address.family != address.family) return false;
  for (unsigned bit = 0; bit < prefix.bits; bit++) {
    const int differ = prefix.address.bytes[bit / 8] ^ address.bytes[bit / 8];
    if ((differ >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

bool is_endpoint(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto address = parse_ip(text.substr(0, colon));
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return address && error == std::errc() && end == digits.data() + digits.size() && port != 0;
}

}  // namespace penstock
