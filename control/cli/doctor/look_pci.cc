#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iterator>

#include "control/cli/doctor/look.h"
#include "control/cli/sysfs.h"

namespace penstock::cli {

namespace {

namespace fs = std::filesystem;

uint32_t hex_in(const fs::path& file) {
  uint32_t n = 0;
  std::ifstream(file) >> std::hex >> n;
  return n;
}

uint32_t word_at(const std::string& bytes, size_t at, size_t len) {
  uint32_t n = 0;
  for (size_t i = 0; i < len; i++)
    n |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  return n;
}

// From the registers of a bridge: its list of extended capabilities begins at 256 and is read by
// root only. PCI Express Base Specification, 7.7.11 (ACS).
std::optional<bool> redirects(const fs::path& config) {
  constexpr size_t kFirst = 0x100, kBytes = 4096;
  constexpr uint32_t kAcs = 0x000d, kControl = 6, kRequestRedirect = 1 << 2, kCompletion = 1 << 3;
  std::ifstream in(config, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (bytes.size() < kBytes) return bytes.size() == kFirst ? std::optional(false) : std::nullopt;
  size_t at = kFirst;
  for (int i = 0; i < 512; i++) {  // as many as fit: a list that bites its tail ends too
    const uint32_t header = word_at(bytes, at, 4);
    if ((header & 0xffff) == kAcs && at + kControl + 2 <= kBytes)
      return (word_at(bytes, at + kControl, 2) & (kRequestRedirect | kCompletion)) != 0;
    at = header >> 20 & 0xffc;
    if (at < kFirst) break;
  }
  return false;
}

}  // namespace

std::map<std::string, PciDevice> pci_devices(const fs::path& sys) {
  constexpr uint32_t kBridge = 0x0604;
  std::map<std::string, PciDevice> all;
  for (const fs::path& device : entries(sys / "bus/pci/devices")) {
    PciDevice d;
    d.kind = hex_in(device / "class");
    d.vendor = hex_in(device / "vendor");
    d.numa_node = static_cast<int>(number_in(device / "numa_node", -1));
    d.iommu_group = target_of(device / "iommu_group");
    d.iommu_type = line_of(device / "iommu_group/type");
    std::error_code none;
    const fs::path place = fs::canonical(device, none);
    bool below = false;  // the host bridge, "pci0000:00"
    for (const fs::path& part : place.parent_path()) {
      below = below ||
              (part.string().starts_with("pci") && part.string().find(':') != std::string::npos);
      if (below) d.above.push_back(part);
    }
    if (d.kind >> 8 == kBridge) d.redirects = redirects(device / "config");
    all[device.filename()] = std::move(d);
  }
  return all;
}

}  // namespace penstock::cli
