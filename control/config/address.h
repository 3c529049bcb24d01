// Addresses of the config: each that of one host. Pure functions; the error is a sentence's end.
#pragma once

#include <string>
#include <string_view>

#include "control/config/config.h"
#include "control/config/units.h"

namespace penstock {

Parsed<IpAddress> parse_host(std::string_view text);       // "10.1.0.1", "fd00::1"
Parsed<MacAddress> parse_host_mac(std::string_view text);  // "02:00:00:00:00:01"
Parsed<IpPrefix> parse_prefix(std::string_view text);      // "10.1.0.1/24"
Parsed<Neighbour> parse_neighbour(std::string_view text);  // "10.1.0.2=02:00:00:00:00:02"

std::string format(const IpPrefix& prefix);

// Whether `address` is in the prefix's network.
bool contains(const IpPrefix& prefix, const IpAddress& address);

// "127.0.0.1:9469": an IPv4 address and a port that one can listen at.
bool is_endpoint(std::string_view text);

}  // namespace penstock
