// Real verbs under test: the first two RDMA devices of the machine, which can reach each other.
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <sched.h>
#include <unistd.h>

#include "drivers/verbs/verbs_fabric.h"
#include "tests/rdma/fabric_rig.h"

namespace penstock::test {
namespace {

using Clock = std::chrono::steady_clock;

class VerbsRig final : public FabricRig {
 public:
  VerbsRig() {
    const std::vector<std::string> names = verbs_devices();
    for (size_t s = 0; s < 2; s++) {
      // A short queue of receives, and patience with an emulated processor: 5 s in all.
      auto opened = VerbsFabric::open({.device = names[s],
                                       .send_depth = 64,
                                       .receive_depth = 128,
                                       .timeout = 18,
                                       .retries = 3});
      if (!opened) {
        std::cerr << opened.error() << "\n";
        std::abort();
      }
      sides_[s] = std::move(*opened);
    }
  }

  Fabric& fabric(unsigned side) override { return *sides_[side]; }
  bool turn() override {
    sched_yield();
    return Clock::now() < end_;
  }
  void rest() override { end_ = Clock::now() + std::chrono::seconds(60); }

  // The cable of a device of the virtual switch (tests/vm): rxe2 is behind p2.
  bool set_port(unsigned side, bool up) override {
    const std::string name = sides_[side]->name();
    const std::string port = "p" + name.substr(name.find_first_of("0123456789"));
    if (!name.starts_with("rxe") || access(("/sys/class/net/" + port).c_str(), F_OK) != 0)
      return false;
    return std::system(("ip link set " + port + (up ? " up" : " down")).c_str()) == 0;
  }

 private:
  std::unique_ptr<VerbsFabric> sides_[2];
  Clock::time_point end_ = Clock::now() + std::chrono::seconds(60);
};

std::unique_ptr<FabricRig> make(uint64_t) {
  return std::make_unique<VerbsRig>();
}

}  // namespace

std::vector<FabricRigMaker> fabric_rigs() {
  return {{"verbs", verbs_devices().size() < 2 ? "two RDMA devices" : "", 2, make}};
}

}  // namespace penstock::test
