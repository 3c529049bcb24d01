// Real verbs connected by rdma_cm under test: the first two RDMA devices of the machine.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <sched.h>
#include <unistd.h>

#include "drivers/verbs/cm_fabric.h"
#include "tests/rdma/fabric_rig.h"

namespace penstock::test {
namespace {

using Clock = std::chrono::steady_clock;

class CmRig final : public FabricRig {
 public:
  CmRig() {
    const std::vector<std::string> names = verbs_devices();
    for (size_t s = 0; s < 2; s++) {
      // As in verbs_rigs.cc.
      auto opened = CmFabric::open({.verbs = {.device = names[s],
                                              .send_depth = 64,
                                              .receive_depth = 128,
                                              .timeout = 18,
                                              .retries = 3},
                                    .connect_ms = 10'000});
      if (!opened) {
        std::cerr << opened.error() << "\n";
        std::abort();
      }
      sides_[s] = std::move(*opened);
    }
  }

  Fabric& fabric(unsigned side) override { return *sides_[side]; }
  // What control does now and then: the tests are the worker. Connecting takes its time, but no
  // more than a little of it in a turn.
  bool turn() override {
    const Clock::time_point enough = Clock::now() + std::chrono::milliseconds(2);
    do {
      sides_[0]->progress();
      sides_[1]->progress();
      sched_yield();
    } while (sides_[0]->connecting() + sides_[1]->connecting() != 0 && Clock::now() < enough);
    return Clock::now() < end_;
  }
  void rest() override { end_ = Clock::now() + std::chrono::seconds(60); }

  bool set_port(unsigned side, bool up) override {
    const std::string name = sides_[side]->name();
    const std::string port = "p" + name.substr(name.find_first_of("0123456789"));
    if (access(("/sys/class/net/" + port).c_str(), F_OK) != 0) return false;
    return std::system(("ip link set " + port + (up ? " up" : " down")).c_str()) == 0;
  }

 private:
  std::unique_ptr<CmFabric> sides_[2];
  Clock::time_point end_ = Clock::now() + std::chrono::seconds(60);
};

std::unique_ptr<FabricRig> make(uint64_t) {
  return std::make_unique<CmRig>();
}

}  // namespace

std::vector<FabricRigMaker> fabric_rigs() {
  return {{"cm", verbs_devices().size() < 2 ? "two RDMA devices" : "", 2, make}};
}

}  // namespace penstock::test
