#include "drivers/dpdk/placement.h"

#include <algorithm>
#include <optional>

#include "drivers/dpdk/cpu_list.h"
#include "drivers/dpdk/machine.h"

namespace penstock {
namespace {

bool contains(const std::vector<uint32_t>& cpus, uint32_t cpu) {
  return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end();
}

std::vector<uint32_t> all_cpus(const Machine& machine) {
  std::vector<uint32_t> out;
  for (const auto& core : machine.cores)
    out.insert(out.end(), core.cpus.begin(), core.cpus.end());
  std::sort(out.begin(), out.end());
  return out;
}

const Machine::Core& core_of(const Machine& machine, uint32_t cpu) {
  return *std::find_if(machine.cores.begin(), machine.cores.end(),
                       [cpu](const auto& core) { return contains(core.cpus, cpu); });
}

// The usable CPUs in the order in which workers may take them: a thread of each core, then the
// second threads. The core with the lowest CPU, where the kernel puts its own work, comes last, and
// that CPU last of all on it.
std::vector<uint32_t> candidates(const Machine& machine) {
  std::vector<Machine::Core> cores = machine.cores;
  const uint32_t lowest = all_cpus(machine).front();
  auto kernels = std::find_if(cores.begin(), cores.end(),
                              [lowest](const auto& core) { return contains(core.cpus, lowest); });
  std::rotate(kernels, kernels + 1, cores.end());
  std::rotate(cores.back().cpus.begin(), cores.back().cpus.begin() + 1, cores.back().cpus.end());

  std::vector<uint32_t> out;
  size_t threads = 0;
  for (const auto& core : cores)
    threads = std::max(threads, core.cpus.size());
  for (size_t thread = 0; thread < threads; thread++) {
    for (const auto& core : cores) {
      if (thread < core.cpus.size()) out.push_back(core.cpus[thread]);
    }
  }
  return out;
}

// Takes the first candidate near the NIC, else the first at all.
uint32_t take(std::vector<uint32_t>& free, const Machine::Nic* nic, size_t whole_cores_left) {
  auto chosen = free.begin();
  if (nic != nullptr) {
    // A whole core elsewhere beats the second thread of a core here.
    const auto end = whole_cores_left == 0
                         ? free.end()
                         : free.begin() + static_cast<ptrdiff_t>(whole_cores_left);
    const auto near =
        std::find_if(free.begin(), end, [nic](uint32_t c) { return contains(nic->near, c); });
    if (near != end) chosen = near;
  }
  const uint32_t cpu = *chosen;
  free.erase(chosen);
  return cpu;
}

std::string why(const Machine::Nic* nic, uint32_t cpu, bool named) {
  if (named) return "named in the configuration";
  if (nic == nullptr) return "the next core that is free";
  if (!nic->placed) return "the machine does not say where " + nic->address + " is";
  return (contains(nic->near, cpu) ? "near " : "no core is left near ") + nic->address;
}

// Fills in workers and their reasons; what is wrong, or nothing.
std::optional<std::string> place_workers(const PlacementRequest& request, const Machine& machine,
                                         Plan& plan) {
  const bool named = !request.cpus.empty();
  const std::vector<uint32_t> usable = all_cpus(machine);
  for (const uint32_t cpu : request.cpus) {
    if (!contains(usable, cpu)) {
      return "CPU " + std::to_string(cpu) + " may not be used; this process has " +
             cpu_list(usable);
    }
  }
  if (named && request.cpus.size() < request.workers) {
    return std::to_string(request.workers) + " workers, but only CPUs " + cpu_list(request.cpus) +
           " are named for them";
  }
  const std::vector<uint32_t> order = named ? request.cpus : candidates(machine);
  std::vector<uint32_t> free;
  size_t whole_cores_left = 0;
  for (uint32_t i = 0; i < request.workers; i++) {
    if (free.empty()) {  // at first, and again when there are more workers than CPUs
      free = order;
      whole_cores_left = machine.cores.size();
    }
    const Machine::Nic* nic =
        named || machine.nics.empty() ? nullptr : &machine.nics[i % machine.nics.size()];
    const uint32_t cpu = take(free, nic, whole_cores_left);
    whole_cores_left -= whole_cores_left != 0;
    const uint32_t node = core_of(machine, cpu).numa_node;
    plan.workers.push_back({cpu, node});
    plan.reasons.push_back("worker " + std::to_string(i) + " on CPU " + std::to_string(cpu) +
                           ", NUMA node " + std::to_string(node) + ": " + why(nic, cpu, named));
  }
  return std::nullopt;
}

// Everything else runs on the cores without a worker; where there is none, everywhere.
void place_housekeeping(const Machine& machine, Plan& plan) {
  std::vector<uint32_t> idle;
  for (const auto& core : machine.cores) {
    const auto works = std::count_if(plan.workers.begin(), plan.workers.end(),
                                     [&](const auto& w) { return contains(core.cpus, w.cpu); });
    auto& list = works == 0 ? plan.housekeeping : idle;
    for (const uint32_t cpu : core.cpus) {
      const bool is_worker = std::any_of(plan.workers.begin(), plan.workers.end(),
                                         [cpu](const auto& w) { return w.cpu == cpu; });
      if (!is_worker) list.push_back(cpu);
    }
    plan.shared |= works > 1;
  }
  std::sort(plan.housekeeping.begin(), plan.housekeeping.end());
  std::sort(idle.begin(), idle.end());
  if (plan.housekeeping.empty()) {
    plan.shared = true;
    plan.housekeeping = all_cpus(machine);
    plan.reasons.push_back("everything else shares CPUs " + cpu_list(plan.housekeeping) +
                           " with the workers: no core is left, so workers sleep when idle");
    return;
  }
  plan.reasons.push_back("everything else on CPUs " + cpu_list(plan.housekeeping) +
                         ": the cores without a worker");
  if (!idle.empty()) {
    plan.reasons.push_back("CPUs " + cpu_list(idle) +
                           " stay idle: each shares its core with a worker");
  }
}

}  // namespace

OrSentence<Plan> place(const PlacementRequest& request) {
  auto machine = read_machine(request);
  if (!machine) return sentence("placement: " + machine.error());
  if (request.workers == 0) return sentence("placement: at least one worker is needed");

  Plan plan;
  plan.reasons.push_back("packages: " + std::to_string(machine->packages) +
                         ", NUMA nodes: " + std::to_string(machine->numa_nodes) +
                         ", cores: " + std::to_string(machine->cores.size()) +
                         ", usable CPUs: " + cpu_list(all_cpus(*machine)));
  if (auto wrong = place_workers(request, *machine, plan)) {
    return sentence("placement: " + *wrong);
  }
  place_housekeeping(*machine, plan);
  plan.lcores = "0@(" + cpu_list(plan.housekeeping) + ")";
  return plan;
}

}  // namespace penstock
