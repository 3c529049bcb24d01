#include "control/cli/doctor/checks.h"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>

#include "control/cli/human.h"

namespace penstock::cli {

namespace {

using Findings = std::vector<Finding>;

Findings judge_kernel(const Facts& f) {
  constexpr unsigned kMajor = 5, kMinor = 3;  // seals that last, descriptors of processes
  unsigned major = 0, minor = 0;
  if (std::sscanf(f.kernel.c_str(), "%u.%u", &major, &minor) != 2)
    return {{Level::kWarning, "the kernel does not say which it is", "look with uname -r"}};
  if (major > kMajor || (major == kMajor && minor >= kMinor))
    return {{Level::kOk, "Linux " + f.kernel, ""}};
  return {{Level::kError,
           fmt::format("Linux {} has neither the memory seals nor the process descriptors that "
                       "lanes and clients take",
                       f.kernel),
           fmt::format("run Linux {}.{} or later; Debian 12 has 6.1", kMajor, kMinor)}};
}

Findings judge_clock(const Facts& f) {
  if (!f.invariant_counter)
    return {{Level::kWarning,
             "the CPU has no invariant time stamp counter: every turn of a worker asks the kernel "
             "for the time",
             "in a virtual machine, have the host pass invtsc through"}};
  // The kernel leaves tsc alone when it has caught it at being wrong; kvm-clock is made from it.
  if (f.clock_source == "tsc" || f.clock_source == "kvm-clock")
    return {{Level::kOk, "invariant time stamp counter, clock source " + f.clock_source, ""}};
  return {{Level::kWarning,
           fmt::format("the kernel's clock source is {}, which is slow to read and may mean that "
                       "the CPUs' counters disagree",
                       f.clock_source.empty() ? "unknown" : f.clock_source),
           "see dmesg for tsc; then tsc=reliable on the kernel's command line, if it is"}};
}

Findings judge_huge_pages(const Facts& f) {
  constexpr uint64_t kKib = 2048;
  const auto pages = std::ranges::find(f.host.huge_pages, kKib, &HugePageSize::kib);
  const uint64_t total = pages == f.host.huge_pages.end() ? 0 : pages->total;
  const uint64_t free = pages == f.host.huge_pages.end() ? 0 : pages->free;
  const std::string there = fmt::format("{} huge pages of 2 MiB, {} free", total, free);
  if (!f.config) return {{Level::kOk, there, ""}};
  if (f.config->memory.hugepages == HugePages::kNever)
    return {{Level::kOk, "memory.hugepages is \"never\": normal pages are wanted", ""}};
  const uint64_t need = (f.config->memory.buffers_bytes + kKib * 1024 - 1) / (kKib * 1024);
  // A node that runs holds its own already.
  if ((f.node_runs ? total : free) >= need)
    return {{Level::kOk, fmt::format("{}; the buffers of ports take {}", there, need), ""}};
  const bool must = f.config->memory.hugepages == HugePages::kRequire;
  return {{must ? Level::kError : Level::kWarning,
           fmt::format("{}, and the buffers of ports take {} (memory.buffers): the node {}", there,
                       need, must ? "does not start" : "runs on normal pages, which costs speed"),
           fmt::format("sysctl vm.nr_hugepages={0}, and HUGEPAGES_2M={0} in /etc/default/penstock; "
                       "more for lanes",
                       total - free + need)}};
}

Findings judge_memlock(const Facts& f) {
  const bool pci = f.config && std::ranges::any_of(f.config->ports, [](const PortOptions& p) {
                     return !device_of(p, "pci").empty();
                   });
  const Memlock& m = f.memlock;
  if (!m.known)
    return {{Level::kWarning, "how much memory " + m.whose + " may lock cannot be read",
             "run penstock doctor as root, where /proc is mounted"}};
  if (!m.limit) return {{Level::kOk, m.whose + " may lock any amount of memory", ""}};
  const std::string limit =
      fmt::format("{} may lock {}", m.whose, human_bytes(static_cast<double>(*m.limit)));
  if (m.ignored) return {{Level::kOk, limit + ", which CAP_IPC_LOCK lifts", ""}};
  if (!pci && f.rdma.empty())
    return {{Level::kOk, limit + "; no pci port and no RDMA device here asks for more", ""}};
  return {{pci && *m.limit < f.config->memory.buffers_bytes ? Level::kError : Level::kWarning,
           limit + ", and NICs and RDMA devices lock the buffers and lanes that they read",
           "LimitMEMLOCK=infinity in the unit (systemctl edit penstockd); for a shell, ulimit -l"}};
}

Findings judge_cpus(const Facts& f) {
  if (!f.config) return {{Level::kOk, fmt::format("CPUs {}", list_text(f.cpus)), ""}};
  const WorkerOptions& w = f.config->workers;
  std::vector<uint32_t> gone;
  for (const uint32_t cpu : w.cpus)
    if (std::ranges::find(f.cpus, cpu) == f.cpus.end()) gone.push_back(cpu);
  if (!gone.empty())
    return {{Level::kError,
             fmt::format("workers.cpus has CPUs {}, which are not online; there are {}",
                         list_text(gone), list_text(f.cpus)),
             "take them out of workers.cpus"}};
  if (w.count >= f.cpus.size())
    return {{w.idle == IdleMode::kSpin ? Level::kError : Level::kWarning,
             fmt::format("{} worker(s) on {} CPU(s) share theirs with all else", w.count,
                         f.cpus.size()),
             "lower workers.count; on shared CPUs workers.idle is \"adaptive\""}};
  return {{Level::kOk, fmt::format("{} worker(s), CPUs {}", w.count, list_text(f.cpus)), ""}};
}

Findings judge_isolation(const Facts& f) {
  if (!f.config || f.config->workers.idle != IdleMode::kSpin)
    return {{Level::kOk, "workers sleep when idle, so no CPU has to be theirs alone", ""}};
  std::vector<uint32_t> shared;
  for (const uint32_t cpu : f.config->workers.cpus)
    if (std::ranges::find(f.isolated, cpu) == f.isolated.end()) shared.push_back(cpu);
  if (!f.config->workers.cpus.empty() && shared.empty())
    return {{Level::kOk, "workers spin on isolated CPUs " + list_text(f.config->workers.cpus), ""}};
  return {{Level::kWarning,
           shared.empty() ? "workers spin, and workers.cpus does not say on which CPUs"
                          : fmt::format("workers spin on CPUs {}, which the scheduler gives to "
                                        "others too",
                                        list_text(shared)),
           "isolcpus= on the kernel's command line and the same CPUs in workers.cpus, or "
           "workers.idle = \"adaptive\""}};
}

Findings judge_governor(const Facts& f) {
  std::string slow;
  for (const auto& [governor, cpus] : f.governors)
    if (governor != "performance")
      slow += fmt::format("{}CPUs {}: {}", slow.empty() ? "" : "; ", list_text(cpus), governor);
  if (f.governors.empty()) return {};  // left to the firmware, or to the host of a virtual machine
  if (slow.empty()) return {{Level::kOk, "performance on all CPUs", ""}};
  return {{Level::kWarning, "the frequency of CPUs follows their load (" + slow + ")",
           "cpupower frequency-set -g performance"}};
}

constexpr Check kChecks[] = {
    {"kernel", "the kernel's version", judge_kernel},
    {"clock", "time stamp counter and the kernel's clock source", judge_clock},
    {"config", "the config file", judge_config},
    {"huge_pages", "huge pages of 2 MiB against `memory.buffers`", judge_huge_pages},
    {"memlock", "locked memory of the daemon that runs, else of its unit, else of the caller",
     judge_memlock},
    {"cpus", "`workers.count` and `workers.cpus` against the CPUs online", judge_cpus},
    {"isolation", "CPUs of workers that spin", judge_isolation},
    {"governor", "what sets the frequency of CPUs", judge_governor},
    {"port",
     "what each port of the config stands on: device, driver, interface and its MTU, socket",
     judge_ports},
    {"path_mtu",
     "what goes through to each peer, against the MTU of the port; asks the node that runs",
     judge_path_mtu},
    {"iommu", "the IOMMU before NICs of `pci` ports, and how wide it is", judge_iommu},
    {"rdma_device", "RDMA devices, and whether penstockd can open them", judge_rdma_devices},
    {"rdma_port", "link layer and state of their ports", judge_rdma_ports},
    {"rdma_address", "GIDs: whether one is RoCE v2 from an address of the interface; LID",
     judge_rdma_addresses},
    {"rdma_mtu", "MTU of the interface under RoCE", judge_rdma_mtu},
    {"acs", "bridges that keep NIC and GPU from talking directly", judge_acs},
    {"gpu_memory", "dma-buf or peer memory, by which an RDMA device reads a GPU", judge_gpu_memory},
    {"distance", "PCI and NUMA distance of NICs to workers and GPUs", judge_distance},
};

}  // namespace

std::span<const Check> checks() {
  return kChecks;
}

const char* text(Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::string list_text(const std::vector<uint32_t>& numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1)
      last++;
    out += (out.empty() ? "" : ",") + std::to_string(numbers[i]);
    if (last != i) out += "-" + std::to_string(numbers[last]);
    i = last + 1;
  }
  return out.empty() ? "none" : out;
}

std::string device_of(const PortOptions& port, const std::string& kind) {
  if (!port.device.starts_with(kind + ":")) return "";
  const std::string rest = port.device.substr(kind.size() + 1);
  const bool short_address = kind == "pci" && std::ranges::count(rest, ':') == 1;
  return short_address ? "0000:" + rest : rest;
}

}  // namespace penstock::cli
