#include "drivers/dpdk/eal.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sched.h>
#include <signal.h>
#include <system_error>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "drivers/dpdk/close_port.h"
#include "drivers/dpdk/dpdk_log.h"
#include "drivers/dpdk/huge_pages.h"

namespace penstock {
namespace {

// No signal action of ours is lost: only the default one, which would end the process, goes.
void ignore_broken_pipes() {
  struct sigaction now {};
  if (sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) {
    signal(SIGPIPE, SIG_IGN);
  }
}

}  // namespace

void stay_on(const std::vector<uint32_t>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const uint32_t cpu : cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  sched_setaffinity(0, sizeof set, &set);
}

OrSentence<std::unique_ptr<Eal>> Eal::start(const Plan& plan, const EalOptions& options) {
  if (const auto why = cannot_share(options.ports)) return sentence(*why);
  const uint64_t bytes = std::max(options.buffers_bytes, buffers_needed(options.ports));
  std::optional<std::string> missing = "they are switched off";
  if (options.huge != UseHugePages::kNever) missing = huge_pages_missing(bytes);
  if (missing && options.huge == UseHugePages::kRequire) {
    return sentence("huge pages are required: " + *missing);
  }

  keep_dpdk_log();
  ignore_broken_pipes();
  stay_on(plan.housekeeping);  // DPDK's own threads inherit it
  const std::string prefix = "penstock-" + std::to_string(getpid());
  std::vector<std::string> arguments = eal_arguments(plan, options, !missing, prefix);
  std::vector<char*> argv;
  for (std::string& a : arguments)
    argv.push_back(a.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    std::string line;
    for (const std::string& a : arguments)
      line += " " + a;
    rmdir(rte_eal_get_runtime_dir());
    return sentence(std::string("DPDK does not start: ") + rte_strerror(rte_errno) +
                    last_dpdk_words() + "; it was given" + line);
  }
  std::unique_ptr<Eal> eal(new Eal);
  eal->huge_ = !missing;
  if (missing && options.huge == UseHugePages::kAuto) {
    eal->warning_ = "running on normal pages, which costs speed: " + *missing;
  }
  // A directory for files that it does not write, and would leave behind. Only while it is empty.
  rmdir(rte_eal_get_runtime_dir());
  return eal;
}

Eal::~Eal() {
  if (!any_port_left_open()) rte_eal_cleanup();
}

}  // namespace penstock
