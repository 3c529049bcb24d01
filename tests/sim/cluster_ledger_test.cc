// The checker of the cluster, checked: what it must count it counts.
#include "tests/support/cluster_ledger.h"

#include <gtest/gtest.h>
#include <vector>

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

}  // namespace
}  // namespace penstock
