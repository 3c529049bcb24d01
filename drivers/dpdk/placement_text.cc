#include "drivers/dpdk/cpu_list.h"
#include "drivers/dpdk/placement.h"

namespace penstock {
namespace {

std::string json_numbers(const std::vector<uint32_t>& numbers) {
  std::string out = "[";
  for (const uint32_t n : numbers) {
    if (out.size() > 1) out += ',';
    out += std::to_string(n);
  }
  return out + "]";
}

// The texts are our own sentences; only a quote or a backslash of a device's name could disturb.
std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= ' ' ? c : ' ';
  }
  return out + "\"";
}

}  // namespace

std::string cpu_list(const std::vector<uint32_t>& cpus) {
  std::string out;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1)
      end++;
    if (!out.empty()) out += ',';
    out += std::to_string(cpus[i]);
    if (end - i > 1) out += '-' + std::to_string(cpus[end - 1]);
    i = end;
  }
  return out;
}

std::string describe(const Plan& plan) {
  std::string out;
  for (size_t i = 0; i < plan.workers.size(); i++) {
    out += "worker " + std::to_string(i) + "      CPU " + std::to_string(plan.workers[i].cpu) +
           " (NUMA node " + std::to_string(plan.workers[i].numa_node) + ")\n";
  }
  out += "housekeeping  CPUs " + cpu_list(plan.housekeeping) +
         (plan.shared ? " (shared with workers)\n" : "\n");
  out += "why\n";
  for (const std::string& reason : plan.reasons)
    out += "  " + reason + "\n";
  return out;
}

std::string to_json(const Plan& plan) {
  std::string workers;
  for (const auto& w : plan.workers) {
    if (!workers.empty()) workers += ',';
    workers += R"({"cpu":)" + std::to_string(w.cpu) + R"(,"numa_node":)" +
               std::to_string(w.numa_node) + "}";
  }
  std::string reasons;
  for (const std::string& reason : plan.reasons) {
    reasons += (reasons.empty() ? "" : ",") + json_string(reason);
  }
  return R"({"workers":[)" + workers + R"(],"housekeeping":)" + json_numbers(plan.housekeeping) +
         R"(,"shared":)" + (plan.shared ? "true" : "false") + R"(,"lcores":)" +
         json_string(plan.lcores) + R"(,"reasons":[)" + reasons + "]}";
}

}  // namespace penstock
