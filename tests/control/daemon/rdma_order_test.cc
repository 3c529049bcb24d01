#include "control/daemon/rdma_order.h"

#include <gtest/gtest.h>

#include "control/config/rdma_names.h"

namespace penstock {
namespace {

std::string names(const std::vector<RdmaPortAt>& ports) {
  std::string all;
  for (const RdmaPortAt& p : ports)
    all += (all.empty() ? "" : " ") + p.device;
  return all;
}

TEST(RdmaOrder, EachWorkerBeginsWithTheDevicesOfItsNode) {
  const std::vector<RdmaPortAt> ports = {
      {"far", 1, 1, 400}, {"soft", 1, -1, 0}, {"slow", 1, 0, 100}, {"fast", 1, 0, 200}};
  EXPECT_EQ(names(nearest_first(ports, 0, 4)), "fast slow soft far");
  EXPECT_EQ(names(nearest_first(ports, 1, 4)), "far soft fast slow");
  EXPECT_EQ(names(nearest_first(ports, 0, 2)), "fast slow");
  EXPECT_EQ(names(nearest_first({}, 0, 4)), "");
}

TEST(RdmaOrder, WhatIsFarIsExpectedToCarryHalf) {
  EXPECT_EQ(may_carry({"a", 1, 0, 200}, 0), 25'000'000'000u);
  EXPECT_EQ(may_carry({"a", 1, 0, 200}, 1), 12'500'000'000u);
  EXPECT_EQ(may_carry({"soft", 1, -1, 0}, 1), 12'500'000'000u);
}

TEST(RdmaNames, AreReadInTheirOrder) {
  EXPECT_EQ(rdma_names("mlx5_0"), (std::vector<RdmaName>{{"mlx5_0"}}));
  EXPECT_EQ(rdma_names("b:2,a,a"), (std::vector<RdmaName>{{"b", 2}, {"a"}, {"a"}}));
  EXPECT_EQ(rdma_names("a:0,b:x,c:,d:300"),
            (std::vector<RdmaName>{{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}}));
  EXPECT_EQ(rdma_names("a,"), (std::vector<RdmaName>{{"a"}, {""}}));
}

}  // namespace
}  // namespace penstock
