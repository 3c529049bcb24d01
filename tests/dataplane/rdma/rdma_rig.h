// RdmaRig: a LinkRig whose two links have rails beside them, each over a simulated device a side,
// and what control does for each: joins, lets both sides say what they have when it has failed, and
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
  std::vector<uint32_t> gbps = {0};  // of each rail's devices
  uint64_t guess = 1'000'000'000;    // bytes a second of each, until it was measured
  uint64_t stripe_from = 2 << 20;
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
  size_t rails() const { return rails_.size(); }
  RdmaPath& path(size_t side, size_t rail = 0) { return half(side, rail).path; }
  SimFabric& fabric(size_t side, size_t rail = 0) { return *half(side, rail).fabric; }
  Endpoint& endpoint(size_t side, size_t rail = 0) { return *half(side, rail).endpoint; }
  const RailsStats& stats(size_t side) const { return choices_[side]->stats(); }
  uint64_t joins() const { return joins_; }
  uint64_t trace() const { return net_.trace(); }

  Flow& add_flow(size_t from, const FlowConfig& config);
  // Both ends of each rail's connection, and the lanes that there are. They have had the time to
  // see that it works then.
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
    Half(SimFabric& f, Rails& rails, uint64_t guess) : fabric(&f), port(f), path(rails, &f, guess) {
      port.add(&path);
    }
    SimFabric* fabric;
    FabricPort port;
    RdmaPath path;
    std::unique_ptr<Landing> landing = std::make_unique<Landing>();
    Registration landing_memory;
    std::unique_ptr<Endpoint> endpoint;
    std::unique_ptr<Connection> connection;
    std::optional<Report> report;
  };
  struct Rail {
    std::array<std::unique_ptr<Half>, 2> halves;
    uint64_t join_at = ~uint64_t{0};
  };
  struct Lane {
    size_t from;
    Flow* flow;
    std::vector<Registration> source;  // by rail
    std::vector<Registration> mirror;
  };

  Half& half(size_t side, size_t rail) { return *rails_[rail].halves[side]; }
  void turn();
  void turn(size_t rail);
  void join(size_t rail);
  void take_stopped(Half& half) const;
  void add(const Lane& lane, size_t rail);

  RdmaRigConfig config_;
  SimFabricNet net_;
  std::array<std::unique_ptr<Rails>, 2> choices_;
  std::vector<Rail> rails_;
  std::vector<Lane> lanes_;
  uint64_t joins_ = 0;
};

}  // namespace penstock::test
