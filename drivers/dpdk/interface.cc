#include "drivers/dpdk/interface.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace penstock {

std::string interface_fault(const PortSpec& spec) {
  ifreq request{};
  strncpy(request.ifr_name, spec.target.c_str(), IFNAMSIZ - 1);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int rc = fd < 0 ? -1 : ioctl(fd, SIOCGIFMTU, &request);
  const int error = errno;
  if (fd >= 0) close(fd);
  if (rc != 0 && error == ENODEV) {
    return "there is no interface " + spec.target + " here; \"ip link\" shows those that are";
  }
  if (rc != 0) return "interface " + spec.target + ": " + strerror(error);
  const auto mtu = static_cast<uint32_t>(request.ifr_mtu);
  if (mtu < spec.mtu) {
    return "interface " + spec.target + " has mtu " + std::to_string(mtu) + " and the port wants " +
           std::to_string(spec.mtu) + "; \"ip link set " + spec.target + " mtu " +
           std::to_string(spec.mtu) + "\", or lower the port's";
  }
  constexpr uint32_t kKernelsLimit = 3506;
  if (spec.kind == PortKind::kAfXdp && mtu > kKernelsLimit) {
    return "interface " + spec.target + " has mtu " + std::to_string(mtu) +
           ", and XDP takes at most " + std::to_string(kKernelsLimit) +
           "; lower it with \"ip link set\"";
  }
  return "";
}

std::string stable_mac(const std::string& port_name) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : std::string(host) + "|" + port_name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  char text[18];
  snprintf(text, sizeof text, "02:%02x:%02x:%02x:%02x:%02x", static_cast<unsigned>(hash & 0xff),
           static_cast<unsigned>(hash >> 8 & 0xff), static_cast<unsigned>(hash >> 16 & 0xff),
           static_cast<unsigned>(hash >> 24 & 0xff), static_cast<unsigned>(hash >> 32 & 0xff));
  return text;
}

}  // namespace penstock
