// What holds with and without RDMA devices. Connections: tests/rdma, where there are two.
#include "drivers/verbs/cm_fabric.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Cm, AHostWithoutTheDeviceSaysSoAndGoesOn) {
  const auto opened = CmFabric::open({.verbs = {.device = "nobody-has-this"}});
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().starts_with("no RDMA device") ||
              opened.error().starts_with("no rdma_cm"))
      << opened.error();
}

}  // namespace
}  // namespace penstock
