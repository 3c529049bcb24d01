// The simulator as a fabric under test: as it is, and as nasty as the contract allows.
#include "drivers/sim/sim_fabric.h"
#include "tests/rdma/fabric_rig.h"
#include "tests/support/seeds.h"

namespace penstock::test {
namespace {

class SimFabricRig final : public FabricRig {
 public:
  SimFabricRig(uint64_t seed, const SimFabricConfig& config)
      : net_(seed), sides_{&net_.add(config), &net_.add(config)} {}

  Fabric& fabric(unsigned side) override { return *sides_[side]; }
  bool turn() override {
    net_.advance(net_.now() + 500);
    return ++turns_ < 100'000;
  }
  void rest() override { turns_ = 0; }
  bool set_port(unsigned side, bool up) override {
    sides_[side]->set_port(up);
    return true;
  }
  bool break_next(unsigned side, FabricCode code, bool arrives) override {
    sides_[side]->break_next(code, arrives);
    return true;
  }

 private:
  SimFabricNet net_;
  SimFabric* sides_[2];
  uint64_t turns_ = 0;
};

std::unique_ptr<FabricRig> plain(uint64_t seed) {
  return std::make_unique<SimFabricRig>(seed, SimFabricConfig{.receive_depth = 128});
}

std::unique_ptr<FabricRig> nasty(uint64_t seed) {
  return std::make_unique<SimFabricRig>(
      seed,
      SimFabricConfig{
          .send_depth = 32,
          .receive_depth = 64,
          .gbps = 100,
          .faults = {.delay_ns = 700, .jitter_ns = 3000, .late = 50'000, .swapped = 300'000}});
}

}  // namespace

std::vector<FabricRigMaker> fabric_rigs() {
  return {{"sim", "", seeds(50), plain}, {"sim_nasty", "", seeds(50), nasty}};
}

}  // namespace penstock::test
