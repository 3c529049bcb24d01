#include "dataplane/net/address.h"

#include <arpa/inet.h>
#include <cstdio>

namespace penstock {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<MacAddress> parse_mac(std::string_view text) {
  MacAddress out;
  if (text.size() != 17) return std::nullopt;
  for (size_t i = 0; i < out.bytes.size(); i++) {
    const int high = hex_digit(text[3 * i]);
    const int low = hex_digit(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
    out.bytes[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return out;
}

std::string format(const MacAddress& mac) {
  char text[18];
  const auto& b = mac.bytes;
  (void)std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3],
                      b[4], b[5]);
  return text;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.find('\0') != text.npos) return std::nullopt;
  const std::string copy(text);
  IpAddress out;
  if (inet_pton(AF_INET, copy.c_str(), out.bytes.data()) == 1) {
    out.family = IpAddress::Family::kV4;
  } else if (inet_pton(AF_INET6, copy.c_str(), out.bytes.data()) == 1) {
    out.family = IpAddress::Family::kV6;
  } else {
    return std::nullopt;
  }
  return out;
}

std::string format(const IpAddress& ip) {
  char text[INET6_ADDRSTRLEN] = "none";
  if (ip.size() != 0) {
    inet_ntop(ip.is_v4() ? AF_INET : AF_INET6, ip.bytes.data(), text, sizeof text);
  }
  return text;
}

}  // namespace penstock
