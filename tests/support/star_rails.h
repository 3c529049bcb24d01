// StarRails: a device for each host of a SimStar, and a rail beside each of its links: what control
// does for them when nothing fails.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/fabric_port.h"
#include "dataplane/rails.h"
#include "dataplane/worker.h"
#include "drivers/sim/sim_fabric.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

class StarRails {
 public:
  explicit StarRails(uint64_t seed) : net_(seed) {}
  ~StarRails();

  // A host more; the worker polls its device.
  void add_host(Worker& worker, uint32_t gbps);
  // Before both links are up: their rails.
  void add_pair(uint32_t a, Link& to_b, uint32_t b, Link& to_a);
  // They are up, in these sessions.
  void join(uint32_t a, uint64_t session_a, uint32_t b, uint64_t session_b);
  // Its large messages go by RDMA.
  void add_lane(uint32_t from, TestLane& lane, OutLane& out, uint32_t to, TestLane& mirror,
                InLane& in, uint64_t put_from);

  void kill(uint32_t host) { fabrics_[host]->die(); }

  void advance(uint64_t now) { net_.advance(now); }
  uint64_t next_event() const { return net_.next_event(); }
  uint64_t put_bytes(uint32_t from) const;     // of this host's own lanes, and passed on
  uint64_t passed_bytes(uint32_t from) const;  // of these
  uint64_t errors() const;                     // connections that ended
  uint64_t revoked() const;                    // of these, for a place
  uint64_t misuse() const;

 private:
  struct Half {
    Half(uint32_t h, uint32_t p, Link& link, SimFabric& fabric, uint64_t bytes_per_s)
        : host(h), peer(p), rails(link, 2 << 20), path(rails, &fabric, bytes_per_s) {}
    uint32_t host;
    uint32_t peer;
    Rails rails;
    RdmaPath path;
    std::unique_ptr<Landing> landing = std::make_unique<Landing>();
    Registration landing_memory;
    std::unique_ptr<Endpoint> endpoint;
    std::unique_ptr<Connection> connection;
  };

  Half* find(uint32_t host, uint32_t peer) const;
  Half& add(uint32_t host, uint32_t peer, Link& link);
  void open(Half& half, Half& other, uint64_t session);

  SimFabricNet net_;
  std::vector<SimFabric*> fabrics_;  // by host
  std::vector<uint64_t> rates_;      // bytes a second, likewise
  std::vector<std::unique_ptr<FabricPort>> ports_;
  std::vector<std::unique_ptr<Half>> halves_;
};

}  // namespace penstock::test
