#include "dataplane/base/event.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "dataplane/base/fd.h"

namespace penstock {
namespace {

bool readable(const Fd& fd) {
  pollfd p{fd.get(), POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

TEST(Event, IsReadableOnceRung) {
  const Fd event(*make_event());
  EXPECT_FALSE(readable(event));
  ring_event(event.get());
  ring_event(event.get());
  EXPECT_TRUE(readable(event));
  uint64_t n = 0;
  EXPECT_EQ(read(event.get(), &n, sizeof n), 8);
  EXPECT_EQ(n, 2u);
  EXPECT_FALSE(readable(event));
}

TEST(Event, RingingAFullOneDoesNotBlock) {
  const Fd event(*make_event());
  const uint64_t full = ~uint64_t{0} - 1;
  ASSERT_EQ(write(event.get(), &full, sizeof full), 8);
  ring_event(event.get());
  EXPECT_TRUE(readable(event));
}

TEST(Event, TheKernelFencesForUs) {
  EXPECT_TRUE(enable_remote_fence());
  remote_fence();
}

}  // namespace
}  // namespace penstock
