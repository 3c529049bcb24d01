// What holds with and without RDMA devices. Verbs themselves: tests/rdma, where there are two.
#include "drivers/verbs/verbs_fabric.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Verbs, AHostWithoutTheDeviceSaysSoAndGoesOn) {
  const auto opened = VerbsFabric::open({.device = "nobody-has-this"});
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().starts_with("no RDMA device")) << opened.error();
}

TEST(Verbs, OpensEachDeviceThatItNamesOrSaysWhyNot) {
  for (const std::string& name : verbs_devices()) {
    const auto opened = VerbsFabric::open({.device = name});
    if (opened) {
      EXPECT_EQ((*opened)->name(), name);
    } else {
      EXPECT_NE(opened.error().find(name), std::string::npos) << opened.error();
    }
  }
}

}  // namespace
}  // namespace penstock
