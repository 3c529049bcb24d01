// The checks of the config and of what its ports stand on.
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "control/cli/doctor/checks.h"

namespace penstock::cli {

namespace {

using Findings = std::vector<Finding>;

Finding judge_pci(const Facts& f, const std::string& address) {
  const auto nic = std::ranges::find(f.host.nics, address, &Nic::pci);
  if (!f.pci.contains(address) || nic == f.host.nics.end())
    return {Level::kError, address + (f.pci.contains(address) ? " is no NIC" : " is not there"),
            "penstock init --dry-run shows the NICs of this host"};
  if (nic->driver == "vfio-pci" || nic->driver == "mlx5_core") {
    const bool bound = nic->driver == "vfio-pci" || !nic->in_use();
    return {bound ? Level::kOk : Level::kWarning,
            fmt::format("{}, driver {}{}", address, nic->driver,
                        bound ? "" : fmt::format(", and the kernel uses it as {}", nic->interface)),
            bound ? "" : "the kernel and the port share it: give the port another address"};
  }
  if (nic->in_use())
    return {Level::kError,
            fmt::format("{} is {}, which the kernel uses ({})", address, nic->interface,
                        nic->enslaved ? "in a bond or bridge" : nic->addresses),
            "name another NIC, or take its addresses away and bind it to vfio-pci"};
  return {Level::kError,
          fmt::format("{} has {}, and DPDK takes it from vfio-pci", address,
                      nic->driver.empty() ? "no driver" : "driver " + nic->driver),
          fmt::format("NICS=\"{}\" in /etc/default/penstock, then systemctl restart penstock-setup",
                      address)};
}

// As drivers/dpdk refuses it, known before anything starts.
Finding judge_interface(const Facts& f, const std::string& name, uint32_t mtu, uint32_t most) {
  const auto found = f.interfaces.find(name);
  if (found == f.interfaces.end())
    return {Level::kError, "there is no interface " + name, "\"ip link\" shows those that are"};
  const Interface& i = found->second;
  if (i.mtu < mtu)
    return {Level::kError,
            fmt::format("interface {} has mtu {} and the port wants {}", name, i.mtu, mtu),
            fmt::format("ip link set {} mtu {}, or lower the port's", name, mtu)};
  if (i.mtu > most)
    return {Level::kError,
            fmt::format("interface {} has mtu {}, and XDP takes at most {}", name, i.mtu, most),
            fmt::format("ip link set {} mtu {}", name, most)};
  if (!i.up)
    return {Level::kWarning, "interface " + name + " is down",
            fmt::format("ip link set {} up; then look at the cable", name)};
  return {Level::kOk, fmt::format("interface {} is up, mtu {}", name, i.mtu), ""};
}

Finding judge_socket(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code none;
  if (std::filesystem::is_directory(folder, none)) return {Level::kOk, path, ""};
  return {Level::kError, fmt::format("{}: there is no directory {}", path, folder.string()),
          "make it, for the daemon's user only"};
}

Finding judge_port(const Facts& f, const PortOptions& p) {
  constexpr uint16_t kDefaultMtu = 1500;
  constexpr uint32_t kXdpLimit = 3506;  // of the kernel: a frame in a page
  const uint32_t mtu = p.mtu.value_or(kDefaultMtu);
  if (const std::string pci = device_of(p, "pci"); !pci.empty()) return judge_pci(f, pci);
  if (const std::string name = device_of(p, "af_packet"); !name.empty())
    return judge_interface(f, name, mtu, UINT32_MAX);
  if (const std::string name = device_of(p, "af_xdp"); !name.empty())
    return judge_interface(f, name, mtu, kXdpLimit);
  if (!device_of(p, "tap").empty() && !f.has_tun)
    return {Level::kError, "there is no /dev/net/tun", "modprobe tun"};
  for (const char* kind : {"vhost", "virtio-user", "memif-server", "memif-client"})
    if (const std::string path = device_of(p, kind); !path.empty()) return judge_socket(path);
  return {Level::kOk, p.device, ""};
}

}  // namespace

Findings judge_config(const Facts& f) {
  if (!f.config_there)
    return {{Level::kWarning,
             fmt::format("there is no {}: ports, and what they need, were not looked at",
                         f.config_file),
             "penstock init makes one; --config names another"}};
  if (!f.config_faults.empty())
    return {{Level::kError,
             fmt::format("{} ({} mistake(s) in all)", text(f.config_faults.front()),
                         f.config_faults.size()),
             "penstock config check " + f.config_file}};
  return {{Level::kOk,
           fmt::format("{}, {} port(s)", f.config_file, f.config ? f.config->ports.size() : 0),
           ""}};
}

Findings judge_ports(const Facts& f) {
  Findings all;
  if (!f.config) return all;
  for (const PortOptions& p : f.config->ports) {
    Finding found = judge_port(f, p);
    found.says = fmt::format("{}: {}", p.name, found.says);
    all.push_back(std::move(found));
  }
  return all;
}

Findings judge_path_mtu(const Facts& f) {
  constexpr uint64_t kFoundOutNs = 10'000'000'000;  // by then the sizes have been tried
  if (!f.ways || !f.ways->why.empty())
    return {{Level::kOk, "of the peers' side nothing is known" + (f.ways ? ": " + f.ways->why : ""),
             ""}};
  if (f.ways->all.empty()) return {{Level::kOk, "no link of the node is up", ""}};
  Findings all;
  for (const Way& w : f.ways->all) {
    const std::string says =
        fmt::format("{} to {}, path {}: packets of {} bytes go through, the port's mtu is {}",
                    w.port, w.peer, w.path, w.packet, w.mtu);
    if (w.packet >= w.mtu || w.up_ns < kFoundOutNs)
      all.push_back({Level::kOk, says, ""});
    else
      all.push_back({Level::kWarning, says,
                     "one mtu for the ports of both sides, and for every switch between"});
  }
  return all;
}

Findings judge_iommu(const Facts& f) {
  constexpr uint32_t kLanesLie = 47;  // bits of the addresses that a NIC reads lanes at
  Findings all;
  if (f.config)
    for (const PortOptions& p : f.config->ports) {
      const auto found = f.pci.find(device_of(p, "pci"));
      if (found == f.pci.end()) continue;
      const auto nic = std::ranges::find(f.host.nics, found->first, &Nic::pci);
      const bool mlx5 = nic != f.host.nics.end() && nic->driver == "mlx5_core";
      if (found->second.iommu_group.empty() && !mlx5)
        all.push_back({Level::kError,
                       fmt::format("{}: no IOMMU stands before {}, and vfio-pci takes none without",
                                   p.name, found->first),
                       "turn VT-d or AMD-Vi on in the firmware, and intel_iommu=on on the kernel's "
                       "command line"});
      else if (!mlx5 && f.iommu_bits && *f.iommu_bits < kLanesLie)
        all.push_back({Level::kWarning,
                       fmt::format("{}: the IOMMU takes addresses of {} bits, and lanes lie above: "
                                   "their payloads are copied",
                                   p.name, *f.iommu_bits),
                       "none but a machine whose IOMMU is wider; tx_linearized in show ports "
                       "counts the copies"});
      else
        all.push_back({Level::kOk,
                       mlx5 ? p.name + ": mlx5 needs none"
                            : fmt::format("{}: group {}", p.name, found->second.iommu_group),
                       ""});
    }
  if (all.empty())
    all.push_back({Level::kOk,
                   fmt::format("{} IOMMU; no port here needs one", f.host.iommu ? "an" : "no"),
                   ""});
  return all;
}

}  // namespace penstock::cli
