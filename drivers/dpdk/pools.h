// Pools: the buffers of one port, out of DPDK's memory.
#pragma once

#include <cstdint>
#include <memory>

#include "drivers/dpdk/or_sentence.h"
#include "drivers/dpdk/port_spec.h"

struct rte_mempool;

namespace penstock {

struct Pools {
  rte_mempool* rx = nullptr;
  rte_mempool* headers = nullptr;   // of frames that go; room for a whole frame
  rte_mempool* payloads = nullptr;  // no room: they refer to bytes elsewhere

  // `index` is unique in the process, `numa_node` -1 means any.
  static OrSentence<std::shared_ptr<Pools>> make(const PortSpec& spec, unsigned index,
                                                 int numa_node);
  Pools() = default;
  Pools(const Pools&) = delete;
  Pools& operator=(const Pools&) = delete;
  ~Pools();  // every buffer is back, or nobody looks at it any more

  bool all_back() const;
  // Buffers, and those of them that nobody uses. Any thread.
  uint64_t size() const;
  uint64_t unused() const;
};

}  // namespace penstock
