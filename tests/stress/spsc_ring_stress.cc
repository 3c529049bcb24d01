#include <gtest/gtest.h>
#include <memory>
#include <thread>

#include "dataplane/base/spsc_ring.h"

namespace penstock {
namespace {

TEST(SpscRingStress, TwoThreadsLoseAndReorderNothing) {
  constexpr uint64_t kItems = 500'000;
  auto ring = std::make_unique<SpscRing<uint64_t, 1024>>();
  std::thread producer([&] {
    for (uint64_t next = 0; next < kItems;)
      next += ring->push({&next, 1});
  });
  uint64_t out[64];
  for (uint64_t want = 0; want < kItems;) {
    const size_t n = ring->pop(out);
    for (size_t i = 0; i < n; i++)
      ASSERT_EQ(out[i], want++);
    if (n == 0) std::this_thread::yield();
  }
  producer.join();
}

}  // namespace
}  // namespace penstock
