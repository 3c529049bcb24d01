// RdmaRig: a LinkRig whose two links have an RDMA path beside them, over simulated devices, and
// what control does for it: joins, lets both sides say what they have when one has failed, and
// joins anew. All on virtual time, from one seed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/fabric_port.h"
#include "drivers/sim/sim_fabric.h"
#include "tests/support/link_rig.h"

namespace penstock::test {

struct RdmaRigConfig {
  RigConfig rig;
  SimFabricConfig fabric;
  uint64_t put_from = 16384;
  uint32_t window = 64;           // immediates, each way
  uint64_t tell_ns = 50'000;      // until a report is with the other side
  uint64_t again_ns = 1'000'000;  // until they join anew
};

class RdmaRig {
 public:
  explicit RdmaRig(const RdmaRigConfig& config);
  ~RdmaRig();

  LinkRig rig;
  RdmaPath& path(size_t side) { return halves_[side]->path; }
  SimFabric& fabric(size_t side) { return *halves_[side]->fabric; }
  Endpoint& endpoint(size_t side) { return *halves_[side]->endpoint; }
  bool joined() const { return halves_[0]->connection != nullptr; }
  uint64_t joins() const { return joins_; }
  uint64_t trace() const { return net_.trace(); }

  Flow& add_flow(size_t from, const FlowConfig& config);
  // Both ends of a connection, and the lanes that there are.
  void join();
  // Called each turn, before everything else: what the test's publishers and readers do.
  std::function<void()> application;

 private:
  struct Report {
    uint64_t at = 0;  // known to the other side from then on
    uint64_t taken = 0;
    std::vector<UnfinishedTransfer> unfinished;
  };
  struct Half {
    Half(SimFabric& f, Link& link) : fabric(&f), port(f), path(link) { port.add(&path); }
    SimFabric* fabric;
    FabricPort port;
    RdmaPath path;
    std::unique_ptr<Landing> landing = std::make_unique<Landing>();
    Registration landing_memory;
    std::unique_ptr<Endpoint> endpoint;
    std::unique_ptr<Connection> connection;
    std::optional<Report> report;
  };
  struct Lane {
    size_t from;
    Flow* flow;
    Registration source;
    Registration mirror;
  };

  void turn();
  void take_stopped(size_t side);
  void add(const Lane& lane);

  RdmaRigConfig config_;
  SimFabricNet net_;
  std::array<std::unique_ptr<Half>, 2> halves_;
  std::vector<Lane> lanes_;
  uint64_t joins_ = 0;
  uint64_t join_at_ = ~uint64_t{0};
};

}  // namespace penstock::test
