#include <arpa/inet.h>
#include <array>
#include <cstring>

#include "control/cli/doctor/look.h"
#include "control/cli/sysfs.h"

namespace penstock::cli {

namespace {

namespace fs = std::filesystem;

// "0000:0000:0000:0000:0000:ffff:0a00:0001" as people write it; empty for one of zeros only.
std::string address_of(const std::string& gid) {
  std::array<uint8_t, 16> bytes{};
  static constexpr std::array<uint8_t, 16> kNone{};
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (inet_pton(AF_INET6, gid.c_str(), bytes.data()) != 1 || bytes == kNone) return "";
  char text[INET6_ADDRSTRLEN] = "";
  if (std::memcmp(bytes.data(), kMapped, sizeof kMapped) == 0)
    inet_ntop(AF_INET, bytes.data() + sizeof kMapped, text, sizeof text);
  else
    inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

std::vector<RdmaGid> gids_of(const fs::path& port) {
  constexpr uint32_t kMost = 256;  // as many as the driver looks at
  std::vector<RdmaGid> all;
  std::error_code none;
  for (uint32_t i = 0; i < kMost; i++) {
    const std::string number = std::to_string(i);
    if (!fs::exists(port / "gids" / number, none)) break;
    const std::string address = address_of(line_of(port / "gids" / number));
    if (address.empty()) continue;
    all.push_back({i, address, line_of(port / "gid_attrs/types" / number),
                   line_of(port / "gid_attrs/ndevs" / number)});
  }
  return all;
}

// "4: ACTIVE"
std::string word_of(const std::string& state) {
  const size_t colon = state.find(": ");
  return colon == std::string::npos ? state : state.substr(colon + 2);
}

}  // namespace

std::vector<RdmaPort> rdma_ports(const fs::path& sys) {
  std::vector<RdmaPort> all;
  for (const fs::path& device : entries(sys / "class/infiniband"))
    for (const fs::path& port : entries(device / "ports")) {
      RdmaPort p;
      p.device = device.filename();
      p.port = port.filename();
      p.state = word_of(line_of(port / "state"));
      p.link_layer = line_of(port / "link_layer");
      p.pci = target_of(device / "device");
      if (!fs::exists(sys / "bus/pci/devices" / p.pci)) p.pci.clear();
      const std::string lid = line_of(port / "lid");
      p.lid = static_cast<uint32_t>(std::strtoul(lid.c_str(), nullptr, 0));
      p.gids = gids_of(port);
      all.push_back(std::move(p));
    }
  return all;
}

}  // namespace penstock::cli
