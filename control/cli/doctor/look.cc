#include "control/cli/doctor/look.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

#include "control/cli/sysfs.h"

namespace penstock::cli {

namespace {

namespace fs = std::filesystem;

// What stands behind `key` in a file of lines, without the blanks before it; empty: nothing.
std::string value_of(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  std::string found;
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) {
      const size_t from = line.find_first_not_of(" \t:=", key.size());
      found = from == std::string::npos ? "" : line.substr(from);
    }
  return found;
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream in(text);
  for (std::string w; in >> w;)
    if (w == word) return true;
  return false;
}

// "8388608", "unlimited"; of systemd also "64M" and "infinity".
std::optional<uint64_t> limit_of(const std::string& text) {
  static constexpr std::string_view kUnits = "KMGT";
  std::istringstream in(text);
  uint64_t n = 0;
  if (!(in >> n)) return std::nullopt;
  const size_t unit = kUnits.find(static_cast<char>(in.peek()));
  return unit == std::string_view::npos ? n : n << (10 * (unit + 1));
}

Memlock of_process(const fs::path& proc, const std::string& whose) {
  constexpr uint64_t kIpcLock = 1 << 14;
  Memlock m;
  m.whose = whose;
  const std::string said = value_of(proc / "limits", "Max locked memory");
  m.known = !said.empty();
  m.limit = limit_of(said);
  const std::string rights = value_of(proc / "status", "CapEff");
  m.ignored = (std::strtoull(rights.c_str(), nullptr, 16) & kIpcLock) != 0;
  return m;
}

// The limit of the daemon that runs, else what its unit will give it, else that of whoever asks.
void look_at_daemon(const fs::path& root, Facts& facts) {
  for (const fs::path& process : entries(root / "proc"))
    if (line_of(process / "comm") == "penstockd" && fs::exists(process / "limits")) {
      facts.node_runs = true;
      facts.memlock = of_process(process, "penstockd, process " + process.filename().string());
      return;
    }
  std::vector<fs::path> files;
  for (const char* folder : {"etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"})
    if (files.empty() && fs::exists(root / folder / "penstockd.service"))
      files.push_back(root / folder / "penstockd.service");
  if (files.empty()) {
    facts.memlock = of_process(root / "proc/self", "this process");
    return;
  }
  for (const fs::path& more : entries(root / "etc/systemd/system/penstockd.service.d"))
    files.push_back(more);
  facts.memlock.whose = "penstockd.service";
  facts.memlock.limit = 8 << 20;  // systemd's own
  for (const fs::path& file : files)
    if (const std::string said = value_of(file, "LimitMEMLOCK"); !said.empty())
      facts.memlock.limit = limit_of(said);
}

// Bits of an address, as VT-d's capability register has them.
std::optional<uint32_t> iommu_bits(const fs::path& sys) {
  std::optional<uint32_t> least;
  for (const fs::path& unit : entries(sys / "class/iommu")) {
    const std::string said = line_of(unit / "intel-iommu/cap");
    if (said.empty()) continue;
    const uint32_t bits = (std::strtoull(said.c_str(), nullptr, 16) >> 16 & 0x3f) + 1;
    least = std::min(least.value_or(bits), bits);
  }
  return least;
}

void look_at_cpus(const fs::path& sys, Facts& facts) {
  facts.cpus = list_in(sys / "devices/system/cpu/online");
  facts.isolated = list_in(sys / "devices/system/cpu/isolated");
  for (const uint32_t cpu : facts.cpus)
    if (const std::string governor =
            line_of(sys / fmt::format("devices/system/cpu/cpu{}/cpufreq/scaling_governor", cpu));
        !governor.empty())
      facts.governors[governor].push_back(cpu);
  for (const uint32_t node : list_in(sys / "devices/system/node/online"))
    facts.nodes[static_cast<int>(node)] =
        list_in(sys / fmt::format("devices/system/node/node{}/cpulist", node));
}

void look_at_interfaces(const fs::path& sys, Facts& facts) {
  constexpr uint32_t kUp = 1;  // IFF_UP
  for (const fs::path& i : entries(sys / "class/net")) {
    const std::string state = line_of(i / "operstate");
    const auto flags = std::strtoul(line_of(i / "flags").c_str(), nullptr, 16);
    // Some drivers never say; then the flag has to do.
    facts.interfaces[i.filename()] = {static_cast<uint32_t>(number_in(i / "mtu")),
                                      state == "up" || (state == "unknown" && (flags & kUp) != 0)};
  }
}

}  // namespace

Facts look_at(const fs::path& root, const fs::path& config) {
  const fs::path sys = root / "sys", proc = root / "proc";
  Facts facts;
  facts.kernel = line_of(proc / "sys/kernel/osrelease");
  facts.clock_source = line_of(sys / "devices/system/clocksource/clocksource0/current_clocksource");
  const std::string flags = value_of(proc / "cpuinfo", "flags");
  facts.invariant_counter = has_word(flags, "constant_tsc") && has_word(flags, "nonstop_tsc");
  facts.host = look_at_host(sys);
  facts.iommu_bits = iommu_bits(sys);
  look_at_daemon(root, facts);
  std::error_code none;
  facts.has_tun = fs::exists(root / "dev/net/tun", none);
  look_at_cpus(sys, facts);
  look_at_interfaces(sys, facts);
  facts.pci = pci_devices(sys);
  facts.rdma = rdma_ports(sys);
  facts.peer_memory = fs::exists(sys / "module/nvidia_peermem", none);
  facts.config_file = config;
  facts.config_there = fs::exists(config, none);
  if (facts.config_there) {
    Loaded loaded = load(config);
    if (loaded)
      facts.config = std::move(*loaded);
    else
      facts.config_faults = loaded.error();
  }
  return facts;
}

}  // namespace penstock::cli
