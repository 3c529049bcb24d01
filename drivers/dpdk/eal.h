// Eal: DPDK's environment, once in a process. It gets an allow-list: exactly the PCI devices that
// the ports name, else none at all, so that the host's own uplink is never touched.
//
// Huge pages are decided on before DPDK starts, because it cannot be started twice: there must be
// enough free ones and the kernel must hand them out. Without them DPDK runs on normal pages, and
// warning() is one sentence for the log.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/errc.h"
#include "drivers/dpdk/or_sentence.h"
#include "drivers/dpdk/placement.h"
#include "drivers/dpdk/port_spec.h"

namespace penstock {

enum class UseHugePages : uint8_t { kAuto, kNever, kRequire };

struct EalOptions {
  std::span<const PortSpec> ports = {};  // those of PCI are allowed, the others add to the memory
  UseHugePages huge = UseHugePages::kAuto;
  uint64_t buffers_bytes = 0;  // for the buffers of all ports; 0: what the ports need
};

// Memory that the buffers of these ports take, with room for DPDK's own needs.
uint64_t buffers_needed(std::span<const PortSpec> ports);

// The arguments that DPDK is started with. Pure.
std::vector<std::string> eal_arguments(const Plan& plan, const EalOptions& options, bool huge,
                                       const std::string& prefix);

// The calling thread, and those that it makes from then on, use no other CPUs. Where that is
// refused they stay where they are, which also works.
void stay_on(const std::vector<uint32_t>& cpus);

class Eal {
 public:
  // Starts DPDK. The calling thread (and later DPDK's own) stays on the plan's housekeeping CPUs.
  // SIGPIPE is ignored from here on: a peer of a vhost-user socket may vanish at any time. The
  // error is one sentence: what was refused, what DPDK said, what to do about it.
  static OrSentence<std::unique_ptr<Eal>> start(const Plan& plan, const EalOptions& options);
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;
  ~Eal();  // after every device is closed

  bool huge_pages() const { return huge_; }
  const std::string& warning() const { return warning_; }  // empty: nothing to say

 private:
  Eal() = default;

  bool huge_ = false;
  std::string warning_;
};

// Makes the calling thread a worker: pinned to `cpu` (kInvalid when that is refused) and known to
// DPDK, so that it has its own buffer caches (kFull when DPDK knows too many threads).
Errc enter_worker_thread(uint32_t cpu);
// Called by the same thread before it ends.
void leave_worker_thread();

}  // namespace penstock
