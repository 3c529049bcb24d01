// Two nodes, one with three RDMA devices and one with two, on virtual time: what they tell of it.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/many_files.h"
#include "tests/support/sim_cluster.h"

namespace penstock::test {
namespace {

using nlohmann::json;
constexpr uint64_t kMs = 1'000'000;

SimCluster::Config unlike() {
  SimCluster::Config c;
  c.nodes = 2;
  c.rails = 3;
  return c;
}

struct NodesWithRails : testing::Test {
  NodesWithRails() : cluster(unlike()) {
    allow_many_files();
    cluster.start(0);
    cluster.start(1);
  }
  json rdma(uint32_t node) {
    return json::parse(cluster.host(node).node->show("links"))[0]["rdma"];
  }
  std::string states(uint32_t node) {
    std::string all;
    const json rails = rdma(node)["rails"];
    for (const json& rail : rails)
      all += (all.empty() ? "" : " ") + rail["state"].get<std::string>();
    return all;
  }
  bool come_to(const std::string& first, const std::string& second) {
    return cluster.run_until([&] { return states(0) == first && states(1) == second; },
                             40'000 * kMs);
  }

  SimCluster cluster;
};

TEST_F(NodesWithRails, JoinAsManyAsBothHave) {
  ASSERT_TRUE(come_to("up up refused", "up up")) << rdma(0) << rdma(1);
  EXPECT_EQ(rdma(0)["state"], "up");
  EXPECT_EQ(rdma(0)["device"], "sim0,sim1,sim2");
  EXPECT_EQ(rdma(1)["rails"][1]["device"], "sim1");
  EXPECT_EQ(rdma(1)["rails"][1]["bytes_per_second"], 1'000'000'000u);
}

// Only its own: the other one stays, and it is called for until it comes back.
TEST_F(NodesWithRails, OneThatIsDownIsTriedAgain) {
  ASSERT_TRUE(come_to("up up refused", "up up")) << rdma(0) << rdma(1);
  cluster.host(1).fabrics[0]->set_port(false);
  ASSERT_TRUE(cluster.run_until([&] { return rdma(0)["rails"][0]["state"] != "up"; }, 1'000 * kMs));
  cluster.run_for(500 * kMs);
  EXPECT_NE(rdma(0)["rails"][0]["state"], "up");
  EXPECT_GT(rdma(0)["rails"][0]["errors"], 0u);
  EXPECT_EQ(rdma(0)["rails"][1]["state"], "up");
  EXPECT_EQ(rdma(0)["rails"][1]["errors"], 0u);
  EXPECT_EQ(rdma(0)["state"], "up") << "one is";
  cluster.host(1).fabrics[0]->set_port(true);
  EXPECT_TRUE(come_to("up up refused", "up up")) << rdma(0) << rdma(1);
}

}  // namespace
}  // namespace penstock::test
