#include "drivers/dpdk/eal.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <thread>

#include "tests/drivers/dpdk/test_plan.h"

namespace penstock {
namespace {

std::vector<uint32_t> cpus_of_this_thread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<uint32_t> out;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) out.push_back(cpu);
  }
  return out;
}

TEST(Eal, KeepsTheStartingThreadOnHousekeepingCpus) {
  EXPECT_EQ(cpus_of_this_thread(), test_plan().housekeeping);
}

TEST(Eal, ABrokenPipeIsNoReasonToDie) {
  struct sigaction now {};
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_IGN);
}

TEST(Eal, RequiredHugePagesThatAreMissingAreAnErrorWithItsRemedy) {
  const auto eal = Eal::start({}, {.huge = UseHugePages::kRequire, .buffers_bytes = 1ull << 50});
  ASSERT_FALSE(eal.has_value());
  EXPECT_EQ(eal.error().find("huge pages are required: 536870912 free huge pages of 2 MiB are "
                             "needed and there are "),
            0u)
      << eal.error();
  EXPECT_NE(eal.error().find("sysctl vm.nr_hugepages=536870912 or more makes them"),
            std::string::npos);
}

TEST(WorkerThread, IsPinned) {
  const uint32_t cpu = test_plan().workers[0].cpu;
  std::thread([cpu] {
    EXPECT_EQ(enter_worker_thread(cpu), Errc::kOk);
    EXPECT_EQ(cpus_of_this_thread(), std::vector<uint32_t>{cpu});
    leave_worker_thread();
  }).join();
}

TEST(WorkerThread, ACpuThatIsNotThereIsRefused) {
  std::thread([] {
    EXPECT_EQ(enter_worker_thread(1023), Errc::kInvalid);
    EXPECT_EQ(enter_worker_thread(1u << 20), Errc::kInvalid);
  }).join();
}

// More, one after the other, than DPDK knows at a time: leaving gives the place back.
TEST(WorkerThread, MayComeAndGoOften) {
  for (int i = 0; i < 300; i++) {
    std::thread([&] {
      ASSERT_EQ(enter_worker_thread(test_plan().workers[0].cpu), Errc::kOk);
      leave_worker_thread();
    }).join();
  }
}

}  // namespace
}  // namespace penstock
