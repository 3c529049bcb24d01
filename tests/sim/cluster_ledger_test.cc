// The checker of the cluster, checked: what it must count it counts.
#include "tests/support/cluster_ledger.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/support/sim_cluster.h"

namespace penstock {
namespace {

// A publisher on node 0 that sent three messages, then a subscription on node 1.
class Ledger : public ::testing::Test {
 protected:
  Ledger() {
    for (uint32_t n = 0; n < 2; n++)
      ledger.restarted(n, 1);
    up();
    publisher = ledger.add_publisher(0, 1);
    publish(3);
    subscription = ledger.add_subscription(1, 1, test::ClusterLedger::Mode::kReliable, "#");
    join();
    ledger.acknowledged(subscription);
  }

  void up() {
    ledger.heard(0, "node 2 (n1) is up on path 0");
    ledger.heard(1, "node 1 (n0) is up on path 0");
  }
  void join() { ledger.joined(subscription, publisher, ledger.standing(subscription, publisher)); }
  void publish(int n) {
    for (; n > 0; n--) {
      sent.emplace_back(test::ClusterLedger::kLeast);
      ledger.write(publisher, 0, sent.back());
      ledger.published(publisher);
    }
  }
  void get(size_t number) { ledger.got(subscription, test::kTopics[0], sent[number]); }
  const test::ClusterLedger::Counts& counts() { return ledger.counts(); }

  test::ClusterLedger ledger{1, 2, 1, 1 << 13};
  uint64_t publisher = 0;
  uint64_t subscription = 0;
  std::vector<std::vector<std::byte>> sent;
};

TEST_F(Ledger, OwesAllFromTheAcknowledgementOnAndNothingBefore) {
  publish(3);
  get(4);
  EXPECT_EQ(counts().lost, 1u) << "message 3";
  get(5);
  ledger.close();
  EXPECT_EQ(counts().wrong(), 1u);
}

TEST_F(Ledger, CountsWhatNeverCame) {
  publish(2);
  get(3);
  ledger.close();
  EXPECT_EQ(counts().lost, 1u);
}

TEST_F(Ledger, TakesAGapForWhatIsMissing) {
  publish(3);
  get(3);
  ledger.gap(subscription, publisher, 1);
  get(5);
  ledger.close();
  EXPECT_EQ(counts().wrong(), 0u);
}

TEST_F(Ledger, CountsWhatComesTwiceOrLate) {
  publish(2);
  get(4);
  get(4);
  EXPECT_EQ(counts().duplicated, 1u);
  get(3);
  EXPECT_EQ(counts().reordered, 1u);
}

TEST_F(Ledger, WantsANoticeBehindASessionThatEnded) {
  for (const bool told : {false, true}) {
    publish(1);
    get(sent.size() - 1);
    ledger.heard(1, "node 1 (n0) is down on path 0: it was not heard");
    if (told) ledger.end_of_lane(subscription, publisher);
    publish(2);
    up();
    join();
    get(sent.size() - 1);
    EXPECT_EQ(counts().wrong(), 1u) << told;
    EXPECT_EQ(counts().unreported, 1u) << told;
  }
}

TEST_F(Ledger, OwesAGroupWhatIsNotStillForMembersBefore) {
  for (const bool lingers : {false, true}) {
    ledger.set_lingers([lingers](uint32_t node, std::string_view) { return node == 1 && lingers; });
    const char* filter = lingers ? "t.#" : "*.0";
    ledger.acknowledged(ledger.add_subscription(1, 1, test::ClusterLedger::Mode::kMember, filter));
  }
  publish(1);
  get(3);
  ledger.close();
  EXPECT_EQ(counts().lost, 1u) << "by *.0";
  EXPECT_EQ(counts().untaken, 1u) << "by t.#";
}

// The last member at node 1 dies, which its node does not see for a while, and then a member at
// node 0 is acknowledged: what is pushed still goes to both.
TEST(LedgerOfACluster, OwesNobodyWhatStillWentToAMemberThatDied) {
  constexpr uint64_t kMs = 1'000'000;
  using Mode = test::ClusterLedger::Mode;
  test::SimCluster::Config config;
  config.nodes = 2;
  test::SimCluster cluster(config);
  test::ClusterLedger& ledger = cluster.ledger();
  cluster.pace = {.publish = 0, .release = 100, .most_bytes = 100};
  const auto inboxes = [&](uint32_t i) {
    const auto lanes = nlohmann::json::parse(cluster.host(i).node->show("lanes"));
    return std::ranges::count_if(lanes, [](const auto& l) { return l["kind"] == "inbox"; });
  };
  ASSERT_TRUE(cluster.run_until([&] { return ledger.connected(); }, 1'000 * kMs));
  cluster.add_client(0).declare(true);
  cluster.add_client(1).subscribe(Mode::kMember, "w.#");
  cluster.run_for(10 * kMs);
  ASSERT_EQ(inboxes(1), 1);

  cluster.add_client(0).subscribe(Mode::kMember, "w.#");
  ASSERT_TRUE(cluster.run_until([&] { return inboxes(0) == 1; }, 1'000 * kMs));
  cluster.stall(0, 1, cluster.now() + 20 * kMs);  // node 1 acknowledges, and node 0 does not look
  cluster.run_for(10 * kMs);
  cluster.stall(1, 1, cluster.now() + 40 * kMs);
  cluster.remove_client(1, 0);
  cluster.run_for(20 * kMs);
  EXPECT_TRUE(cluster.group_lingers(0, "w.#"));
  cluster.pace.publish = 1;
  for (const auto& c : cluster.host(0).clients)
    c->finish(6);
  cluster.run_for(100 * kMs);
  EXPECT_TRUE(cluster.settled());
  EXPECT_FALSE(cluster.group_lingers(0, "w.#"));

  ledger.close();
  const auto& counts = ledger.counts();
  EXPECT_EQ(counts.wrong(), 0u) << ledger.text();
  EXPECT_EQ(counts.published, 6u);
  EXPECT_EQ(counts.delivered + counts.untaken, 6u);
  EXPECT_NE(counts.untaken, 0u);
  EXPECT_EQ(nlohmann::json::parse(cluster.host(1).node->show("drops"))["no_member"],
            counts.untaken);
  EXPECT_EQ(cluster.books(), "");
}

}  // namespace
}  // namespace penstock
