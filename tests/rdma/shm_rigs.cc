// Shared memory as a fabric under test: two devices of one process, which know no more of each
// other than those of two. tests/drivers/shm has the two processes.
#include <chrono>
#include <cstdlib>
#include <deque>
#include <sched.h>

#include "drivers/shm/shm_fabric.h"
#include "tests/rdma/fabric_rig.h"
#include "tests/support/seeds.h"

namespace penstock::test {
namespace {

using Clock = std::chrono::steady_clock;

class ShmRig final : public FabricRig {
 public:
  explicit ShmRig(const ShmFabricConfig& config) {
    for (auto& side : sides_) {
      auto opened = ShmFabric::open(config);
      if (!opened.ok()) std::abort();
      side = std::move(*opened);
    }
  }

  Fabric& fabric(unsigned side) override { return *sides_[side]; }
  bool turn() override {
    for (auto& side : sides_)
      (void)side->events({});
    sched_yield();
    return Clock::now() < end_;
  }
  void rest() override { end_ = Clock::now() + std::chrono::seconds(60); }

  std::byte* memory(unsigned side, uint64_t bytes) override {
    auto file = SealedMemory::create("penstock-test", bytes);
    if (!file.ok()) std::abort();
    auto map = file->map(Access::kReadWrite);
    if (!map.ok()) std::abort();
    std::byte* base = map->data();
    if (sides_[side]->add_memory(file->fd(), base, bytes, Access::kReadWrite) != Errc::kOk)
      std::abort();
    maps_.push_back(std::move(*map));
    return base;
  }

 private:
  std::deque<Mapping> maps_;
  std::unique_ptr<ShmFabric> sides_[2];
  Clock::time_point end_ = Clock::now() + std::chrono::seconds(60);
};

std::unique_ptr<FabricRig> plain(uint64_t) {
  return std::make_unique<ShmRig>(ShmFabricConfig{.receive_depth = 128});
}

// Queues so short that they are full most of the time, and no power of two.
std::unique_ptr<FabricRig> narrow(uint64_t) {
  return std::make_unique<ShmRig>(ShmFabricConfig{.send_depth = 24, .receive_depth = 72});
}

}  // namespace

std::vector<FabricRigMaker> fabric_rigs() {
  return {{"shm", "", seeds(20), plain}, {"shm_narrow", "", seeds(20), narrow}};
}

}  // namespace penstock::test
