#include "drivers/dpdk/placement.h"

#include <gtest/gtest.h>

#include "tests/drivers/dpdk/nic_machine.h"

namespace penstock {

void PrintTo(const Plan& plan, std::ostream* out) {
  *out << plan.lcores << "\n" << describe(plan);
}

namespace {

using Workers = std::vector<Plan::Worker>;
using Cpus = std::vector<uint32_t>;
using Sentences = std::vector<std::string>;

Plan must_place(const PlacementRequest& request) {
  auto plan = place(request);
  EXPECT_TRUE(plan.has_value()) << plan.error();
  return plan ? *plan : Plan{};
}

std::string must_fail(const PlacementRequest& request) {
  auto plan = place(request);
  EXPECT_FALSE(plan.has_value());
  return plan ? "" : plan.error();
}

constexpr const char* kTwoSockets = "pack:2 [numa] l3:2 core:4 pu:2";

TEST(Placement, TakesWholeCoresAndLeavesTheKernelsCoreAlone) {
  EXPECT_EQ(must_place({.workers = 2, .synthetic = kTwoSockets}),
            (Plan{.workers = {{2, 0}, {4, 0}},
                  .housekeeping = {0,  1,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17,
                                   18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
                  .shared = false,
                  .lcores = "0@(0-1,6-31)",
                  .reasons = {
                      "packages: 2, NUMA nodes: 2, cores: 16, usable CPUs: 0-31",
                      "worker 0 on CPU 2, NUMA node 0: the next core that is free",
                      "worker 1 on CPU 4, NUMA node 0: the next core that is free",
                      "everything else on CPUs 0-1,6-31: the cores without a worker",
                      "CPUs 3,5 stay idle: each shares its core with a worker",
                  }}));
}

TEST(Placement, OneCoreOfTwoThreadsIsShared) {
  EXPECT_EQ(must_place({.workers = 1, .synthetic = "pack:1 [numa] l3:1 core:1 pu:2"}),
            (Plan{.workers = {{1, 0}},
                  .housekeeping = {0, 1},
                  .shared = true,
                  .lcores = "0@(0-1)",
                  .reasons = {
                      "packages: 1, NUMA nodes: 1, cores: 1, usable CPUs: 0-1",
                      "worker 0 on CPU 1, NUMA node 0: the next core that is free",
                      "everything else shares CPUs 0-1 with the workers: no core is left, so "
                      "workers sleep when idle",
                  }}));
}

TEST(Placement, TwoCoresGiveOneToTheWorker) {
  const Plan plan = must_place({.workers = 1, .synthetic = "pack:1 [numa] core:2 pu:1"});
  EXPECT_EQ(plan.workers, (Workers{{1, 0}}));
  EXPECT_EQ(plan.housekeeping, (Cpus{0}));
  EXPECT_FALSE(plan.shared);
  EXPECT_EQ(plan.lcores, "0@(0)");
}

TEST(Placement, TwoCoresAndTwoWorkersAreShared) {
  const Plan plan = must_place({.workers = 2, .synthetic = "pack:1 [numa] core:2 pu:1"});
  EXPECT_EQ(plan.workers, (Workers{{1, 0}, {0, 0}}));
  EXPECT_EQ(plan.housekeeping, (Cpus{0, 1}));
  EXPECT_TRUE(plan.shared);
}

TEST(Placement, SecondThreadsComeAfterAllCores) {
  const Plan plan = must_place({.workers = 5, .synthetic = "pack:1 [numa] core:4 pu:2"});
  EXPECT_EQ(plan.workers, (Workers{{2, 0}, {4, 0}, {6, 0}, {1, 0}, {3, 0}}));
  EXPECT_TRUE(plan.shared);
}

TEST(Placement, MoreWorkersThanCpusTakeTurns) {
  const Plan plan = must_place({.workers = 3, .synthetic = "pack:1 [numa] core:1 pu:1"});
  EXPECT_EQ(plan.workers, (Workers{{0, 0}, {0, 0}, {0, 0}}));
  EXPECT_TRUE(plan.shared);
}

TEST(Placement, WorkersComeNearTheirNic) {
  const Plan plan = must_place({.workers = 2, .pci = {"0000:81:00.0"}, .xml = kNicMachine});
  EXPECT_EQ(plan, (Plan{.workers = {{4, 1}, {5, 1}},
                        .housekeeping = {0, 1, 2, 3, 6, 7},
                        .shared = false,
                        .lcores = "0@(0-3,6-7)",
                        .reasons = {
                            "packages: 2, NUMA nodes: 2, cores: 8, usable CPUs: 0-7",
                            "worker 0 on CPU 4, NUMA node 1: near 0000:81:00.0",
                            "worker 1 on CPU 5, NUMA node 1: near 0000:81:00.0",
                            "everything else on CPUs 0-3,6-7: the cores without a worker",
                        }}));
}

TEST(Placement, WorkersAreDealtOutToNics) {
  const Plan plan =
      must_place({.workers = 3, .pci = {"0000:81:00.0", "0000:3b:00.0"}, .xml = kNicMachine});
  EXPECT_EQ(plan.workers, (Workers{{4, 1}, {1, 0}, {5, 1}}));
}

TEST(Placement, SaysWhenNoCoreIsLeftNearTheNic) {
  const Plan plan = must_place({.workers = 5, .pci = {"0000:81:00.0"}, .xml = kNicMachine});
  EXPECT_EQ(plan.workers, (Workers{{4, 1}, {5, 1}, {6, 1}, {7, 1}, {1, 0}}));
  ASSERT_EQ(plan.reasons.size(), 7u);
  EXPECT_EQ(plan.reasons[5], "worker 4 on CPU 1, NUMA node 0: no core is left near 0000:81:00.0");
}

TEST(Placement, ANicThatIsNotThereIsNamedWithThoseThatAre) {
  EXPECT_EQ(must_fail({.workers = 1, .pci = {"0000:99:00.0"}, .xml = kNicMachine}),
            "placement: no PCI device 0000:99:00.0; network devices here: 0000:3b:00.0, "
            "0000:81:00.0");
}

TEST(Placement, NamedCpusAreTakenInTheirOrder) {
  const Plan plan = must_place({.workers = 2, .cpus = {9, 4, 6}, .synthetic = kTwoSockets});
  EXPECT_EQ(plan.workers, (Workers{{9, 0}, {4, 0}}));
  ASSERT_EQ(plan.reasons.size(), 5u);
  EXPECT_EQ(plan.reasons[1], "worker 0 on CPU 9, NUMA node 0: named in the configuration");
}

TEST(Placement, NamedCpusMustExistAndSuffice) {
  EXPECT_EQ(must_fail({.workers = 1, .cpus = {99}, .synthetic = kTwoSockets}),
            "placement: CPU 99 may not be used; this process has 0-31");
  EXPECT_EQ(must_fail({.workers = 3, .cpus = {4, 5}, .synthetic = kTwoSockets}),
            "placement: 3 workers, but only CPUs 4-5 are named for them");
}

TEST(Placement, NonsenseIsRefused) {
  EXPECT_EQ(must_fail({.workers = 0, .synthetic = kTwoSockets}),
            "placement: at least one worker is needed");
  EXPECT_EQ(must_fail({.workers = 1, .synthetic = "pack:0"}),
            "placement: hwloc cannot read the machine's description");
  EXPECT_EQ(must_fail({.workers = 1, .xml = "<topology"}),
            "placement: hwloc cannot read the machine's description");
}

TEST(Placement, ThisMachineHasAPlace) {
  const Plan plan = must_place({.workers = 1});
  EXPECT_EQ(plan.workers.size(), 1u);
  EXPECT_FALSE(plan.housekeeping.empty());
}

TEST(Placement, IsDescribedForPeopleAndPrograms) {
  const Plan plan = must_place({.workers = 1, .synthetic = "pack:1 [numa] core:2 pu:1"});
  EXPECT_EQ(describe(plan),
            "worker 0      CPU 1 (NUMA node 0)\n"
            "housekeeping  CPUs 0\n"
            "why\n"
            "  packages: 1, NUMA nodes: 1, cores: 2, usable CPUs: 0-1\n"
            "  worker 0 on CPU 1, NUMA node 0: the next core that is free\n"
            "  everything else on CPUs 0: the cores without a worker\n");
  const char* json = R"({"workers":[{"cpu":1,"numa_node":0}],"housekeeping":[0],"shared":false,)"
                     "\"lcores\":\"0@(0)\",\"reasons\":["
                     R"("packages: 1, NUMA nodes: 1, cores: 2, usable CPUs: 0-1",)"
                     R"("worker 0 on CPU 1, NUMA node 0: the next core that is free",)"
                     R"("everything else on CPUs 0: the cores without a worker"]})";
  EXPECT_EQ(to_json(plan), json);
}

}  // namespace
}  // namespace penstock
