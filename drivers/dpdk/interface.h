// A kernel interface that a port is to stand on: is it fit? Asked before DPDK is, whose answers are
// hard to understand.
#pragma once

#include <string>

#include "drivers/dpdk/port_spec.h"

namespace penstock {

// What is wrong with the interface of an af_packet or af_xdp port, or an empty string.
std::string interface_fault(const PortSpec& spec);

// A MAC address of our own for ports that have none: always the same for the same port of the same
// host, because neighbours remember it.
std::string stable_mac(const std::string& port_name);

}  // namespace penstock
