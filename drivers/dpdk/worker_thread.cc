#include <pthread.h>
#include <sched.h>

#include <rte_lcore.h>

#include "drivers/dpdk/eal.h"

namespace penstock {
namespace {

thread_local bool registered = false;

}  // namespace

Errc enter_worker_thread(uint32_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= CPU_SETSIZE) return Errc::kInvalid;
  CPU_SET(cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) return Errc::kInvalid;
  // The thread that started DPDK is known to it already.
  if (rte_lcore_id() != LCORE_ID_ANY) return Errc::kOk;
  if (rte_thread_register() != 0) return Errc::kFull;
  registered = true;
  return Errc::kOk;
}

void leave_worker_thread() {
  if (registered) rte_thread_unregister();
  registered = false;
}

}  // namespace penstock
