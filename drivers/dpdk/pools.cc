#include "drivers/dpdk/pools.h"

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/buffers.h"
#include "drivers/dpdk/dpdk_log.h"

namespace penstock {
namespace {

rte_mempool* pool(const char* what, unsigned index, uint32_t count, uint16_t private_bytes,
                  uint32_t room, int numa_node) {
  const std::string name = "pk_" + std::string(what) + std::to_string(index);
  return rte_pktmbuf_pool_create(name.c_str(), count, kBufferCache, private_bytes,
                                 static_cast<uint16_t>(room), numa_node);
}

bool is_full(const rte_mempool* pool) {
  return rte_mempool_avail_count(pool) == pool->size;
}

}  // namespace

OrSentence<std::shared_ptr<Pools>> Pools::make(const PortSpec& spec, unsigned index,
                                               int numa_node) {
  const BufferPlan plan = plan_buffers(spec);
  auto pools = std::make_shared<Pools>();
  constexpr uint16_t kReference = sizeof(rte_mbuf_ext_shared_info);
  pools->rx = pool("rx", index, plan.rx_count, 0, plan.rx_room, numa_node);
  pools->headers = pool("tx", index, plan.tx_count, 0, plan.tx_room, numa_node);
  pools->payloads = pool("ref", index, plan.payloads, kReference, 0, numa_node);
  if (pools->rx == nullptr || pools->headers == nullptr || pools->payloads == nullptr) {
    constexpr uint64_t kMiB = uint64_t{1} << 20;
    return sentence("no memory for its buffers, " + std::to_string(plan.bytes() / kMiB + 1) +
                    " MiB: " + rte_strerror(rte_errno) +
                    "; raise memory.buffers, or lower queues or mtu" + last_dpdk_words());
  }
  return pools;
}

Pools::~Pools() {
  rte_mempool_free(rx);
  rte_mempool_free(headers);
  rte_mempool_free(payloads);
}

uint64_t Pools::size() const {
  return uint64_t{rx->size} + headers->size + payloads->size;
}

uint64_t Pools::unused() const {
  return uint64_t{rte_mempool_avail_count(rx)} + rte_mempool_avail_count(headers) +
         rte_mempool_avail_count(payloads);
}

bool Pools::all_back() const {
  return is_full(rx) && is_full(headers) && is_full(payloads);
}

}  // namespace penstock
