// The tests of this executable share one DPDK, which can be started once in a process.
#include <gtest/gtest.h>

#include "drivers/dpdk/eal.h"
#include "tests/drivers/dpdk/peer.h"
#include "tests/drivers/dpdk/test_plan.h"

namespace penstock {
namespace {

Plan started_with;

class Dpdk : public testing::Environment {
  void SetUp() override {
    auto plan = place({.workers = 1});
    ASSERT_TRUE(plan.has_value()) << plan.error();
    started_with = *plan;
    auto eal =
        Eal::start(*plan, {.huge = UseHugePages::kNever, .buffers_bytes = uint64_t{512} << 20});
    ASSERT_TRUE(eal.has_value()) << eal.error();
    eal_ = *std::move(eal);
  }
  void TearDown() override { eal_.reset(); }

  std::unique_ptr<Eal> eal_;
};

}  // namespace

const Plan& test_plan() {
  return started_with;
}

}  // namespace penstock

// The XDP driver of DPDK 22.11 counts its references one short and never lets go of its memory; a
// probe of its virtio-user that fails forgets the interrupt's words and the socket's.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:xsk_umem__create\nleak:rte_intr_instance_alloc\nleak:librte_net_virtio\n";
}

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) penstock::Peer::executable = argv[1];
  testing::AddGlobalTestEnvironment(new penstock::Dpdk);
  return RUN_ALL_TESTS();
}
