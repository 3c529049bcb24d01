#include "drivers/dpdk/ring_pair.h"

#include <algorithm>
#include <map>
#include <mutex>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "drivers/dpdk/buffers.h"
#include "drivers/dpdk/dpdk_log.h"

namespace penstock {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<RingPair>> by_name;
};

Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

OrSentence<std::shared_ptr<RingPair>> make_pair(const PortSpec& spec) {
  auto pair = std::make_shared<RingPair>();
  for (unsigned side = 0; side < 2; side++) {
    for (unsigned q = 0; q < spec.queues; q++) {
      const std::string name =
          "pk_" + spec.target + "_" + std::to_string(side) + "_" + std::to_string(q);
      rte_ring* ring = rte_ring_create(name.c_str(), descriptors(PortKind::kRing), SOCKET_ID_ANY,
                                       RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
      if (ring == nullptr) {
        return sentence(std::string("no ring: ") + rte_strerror(rte_errno) + last_dpdk_words());
      }
      pair->to[side].push_back(ring);
    }
  }
  return pair;
}

}  // namespace

RingPair::~RingPair() {
  for (auto& rings : to) {
    for (rte_ring* ring : rings) {
      void* m = nullptr;
      while (rte_ring_dequeue(ring, &m) == 0)
        rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
      rte_ring_free(ring);
    }
  }
}

OrSentence<RingEnd> join_ring(const PortSpec& spec, unsigned index,
                              const std::shared_ptr<Pools>& pools) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  RingEnd end{.pair = r.by_name[spec.target].lock()};
  if (end.pair == nullptr) {
    auto made = make_pair(spec);
    if (!made) return sentence(made.error());
    end.pair = *made;
    r.by_name[spec.target] = end.pair;
  }
  if (end.pair->taken[0] && end.pair->taken[1]) {
    return sentence("both sides of this ring are in use");
  }
  if (end.pair->to[0].size() != spec.queues) {
    return sentence("the other side has " + std::to_string(end.pair->to[0].size()) +
                    " queues, this one " + std::to_string(spec.queues));
  }
  end.side = end.pair->taken[0] ? 1 : 0;
  const auto& rx = end.pair->to[end.side];
  const auto& tx = end.pair->to[1 - end.side];
  const int node = std::max(0, rte_socket_id_by_idx(0));
  const int port = rte_eth_from_rings(std::to_string(index).c_str(), rx.data(), spec.queues,
                                      tx.data(), spec.queues, static_cast<unsigned>(node));
  if (port < 0) return sentence("DPDK refuses the ring's port" + last_dpdk_words());
  end.port = static_cast<uint16_t>(port);
  end.pair->taken[end.side] = true;
  end.pair->pools.push_back(pools);
  return end;
}

void leave_ring(const RingEnd& end) {
  const std::lock_guard lock(registry().mutex);
  end.pair->taken[end.side] = false;
}

}  // namespace penstock
