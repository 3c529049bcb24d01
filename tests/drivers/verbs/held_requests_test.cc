#include "drivers/verbs/held_requests.h"

#include <array>
#include <gtest/gtest.h>

namespace penstock {
namespace {

std::vector<FabricRequest> some(uint64_t first, size_t n) {
  std::vector<FabricRequest> out(n);
  for (size_t i = 0; i < n; i++)
    out[i].id = first + i;
  return out;
}

TEST(HeldRequests, GoInTheOrderInWhichTheyCame) {
  HeldRequests held(8, 16);
  EXPECT_TRUE(held.empty());
  EXPECT_EQ(held.hold(some(0, 3)), 3u);
  EXPECT_EQ(held.hold(some(3, 2)), 2u);
  held.gone(2);
  ASSERT_EQ(held.waiting().size(), 3u);
  for (uint64_t i = 0; i < 3; i++)
    EXPECT_EQ(held.waiting()[i].id, 2 + i);
  held.gone(3);
  EXPECT_TRUE(held.empty());
}

TEST(HeldRequests, AreNoMoreThanASendQueueHas) {
  HeldRequests held(4, 16);
  EXPECT_EQ(held.hold(some(0, 6)), 4u);
  EXPECT_EQ(held.hold(some(4, 1)), 0u);
  held.gone(4);
  EXPECT_EQ(held.hold(some(4, 4)), 4u);
  EXPECT_EQ(held.waiting().front().id, 4u);
}

TEST(HeldRequests, KeepWhatIsInlinedEachItsOwn) {
  HeldRequests held(4, 8);
  std::array<std::byte, 8> source{};
  for (unsigned i = 0; i < 4; i++) {
    source.fill(std::byte(i + 1));
    FabricRequest r;
    r.inlined = i != 2;  // the third is where it was
    r.local = source.data();
    r.bytes = 8;
    ASSERT_EQ(held.hold({&r, 1}), 1u);
  }
  for (unsigned i = 0; i < 4; i++) {
    const FabricRequest& r = held.waiting()[i];
    EXPECT_EQ(r.local == source.data(), i == 2);
    if (i != 2) {
      EXPECT_EQ(r.local[0], std::byte(i + 1));
      EXPECT_EQ(r.local[7], std::byte(i + 1));
    }
  }
}

}  // namespace
}  // namespace penstock
