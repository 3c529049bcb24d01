// PortSpec: what a port stands on, as the config names it. Pure functions: nothing is opened here.
//
//     ring:NAME             two ports of one name in one process, joined crosswise
//     vhost:/PATH           the device side of a vhost-user socket; connects, again and again
//     virtio-user:/PATH     the driver side; makes the socket and waits for its peer
//     memif-server:/PATH    shared-memory interface that makes the socket
//     memif-client:/PATH    shared-memory interface that connects
//     af_packet:IFACE       a kernel interface by packet socket
//     af_xdp:IFACE          a kernel interface by XDP socket
//     tap:IFACE             a tap interface that the port makes
//     pci:0000:3b:00.0      a NIC by its PCI address
//
// Options after commas: mtu=BYTES (of an IP packet), queues=N.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "drivers/dpdk/or_sentence.h"

namespace penstock {

enum class PortKind : uint8_t {
  kRing,
  kVhost,
  kVirtioUser,
  kMemifServer,
  kMemifClient,
  kAfPacket,
  kAfXdp,
  kTap,
  kPci,
};

inline constexpr uint32_t kEthernetHeader = 14;

struct PortSpec {
  PortKind kind{};
  std::string target;  // socket path, interface, ring name or full PCI address
  uint32_t mtu = 0;    // bytes of an IP packet
  uint16_t queues = 1;

  uint32_t max_frame() const { return mtu + kEthernetHeader; }
};

// Reads "KIND:TARGET[,mtu=N][,queues=N]". What the text leaves open comes from the arguments; mtu
// 0: the kind's own default. The error is one sentence that names the wrong word and what is
// possible.
OrSentence<PortSpec> parse_port(std::string_view text, uint32_t mtu = 0, uint16_t queues = 1);

// Why these ports cannot be in one process, naming two of them and the remedy; nothing when they
// can.
std::optional<std::string> cannot_share(std::span<const PortSpec> ports);

// The word of a kind: "vhost".
const char* text(PortKind kind);
// The port as the config names it, without options: "vhost:/run/a.sock".
std::string text(const PortSpec& spec);

// How DPDK knows the port: the PCI address, or a virtual device's name (`index` makes it unique in
// the process) and its arguments. `mac` is "02:..", for the kinds that can be told theirs.
std::string device_name(const PortSpec& spec, unsigned index);
std::string device_arguments(const PortSpec& spec, const std::string& mac);

}  // namespace penstock
