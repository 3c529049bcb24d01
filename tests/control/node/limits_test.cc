// Tables of fixed size that are full: who needs one more place is told so, and the others go on.
#include <gtest/gtest.h>
#include <vector>

#include "tests/control/node/node_rig.h"
#include "tests/support/many_files.h"

namespace penstock {
namespace {

class Limits : public ::testing::Test {
 protected:
  Limits() { test::allow_many_files(); }
  // Subscribes until it is refused, `most` times at most.
  static std::vector<pen::Subscriber> subscribe(pen::Client& c, const char* filter, uint32_t most) {
    std::vector<pen::Subscriber> all;
    while (all.size() < most) {
      auto s = c.subscriber(filter);
      if (!s) break;
      all.push_back(std::move(*s));
    }
    return all;
  }
  static void expect_text(const char* part) {
    EXPECT_NE(std::string(pen::last_error()).find(part), std::string::npos) << pen::last_error();
  }
  TwoNodes nodes;
};

TEST_F(Limits, OneMoreSubscriberThanALaneCanHaveIsRefused) {
  auto a = attach_to(nodes, 0, "a");
  auto p = a.publisher();
  const auto topic = p->topic("x");
  auto c = attach_to(nodes, 0, "c");
  auto all = subscribe(c, "x", 130);
  EXPECT_EQ(all.size(), kMaxReaders);
  EXPECT_EQ(c.subscriber("x").code(), PENSTOCK_FULL);
  expect_text("128 readers");
  EXPECT_EQ(c.puller("x").code(), PENSTOCK_FULL);  // its group would be one more reader
  expect_text("128 readers");
  all.pop_back();
  auto again = c.subscriber("x");
  ASSERT_TRUE(again) << pen::last_error();
  send_all(*p, *topic, 3);
  expect_all(*again, 3);
  expect_all(all[0], 3);
}

TEST_F(Limits, ATopicWithMoreSubscribersThanALaneCanHaveIsRefused) {
  auto a = attach_to(nodes, 0, "a");
  auto p = a.publisher();
  auto c = attach_to(nodes, 0, "c");
  auto all = subscribe(c, "x", 129);
  ASSERT_EQ(all.size(), 129u) << pen::last_error();
  EXPECT_EQ(p->topic("x").code(), PENSTOCK_FULL);
  expect_text("128 readers");
  all.pop_back();
  ASSERT_TRUE(c.query("node"));  // now the node knows
  const auto topic = p->topic("x");
  ASSERT_TRUE(topic) << pen::last_error();
  send_all(*p, *topic, 3);
  expect_all(all[0], 3);
  expect_all(all.back(), 3);
}

// 64 subscriptions of 8 lanes are 512.
TEST_F(Limits, WhoReadsAsManyLanesAsAClientCanIsToldOfTheNext) {
  std::vector<pen::Publisher> publishers;
  auto a = attach_to(nodes, 0, "a");
  const auto publish = [&] {
    auto p = a.publisher();
    ASSERT_TRUE(p) << pen::last_error();
    ASSERT_TRUE(p->topic("x")) << pen::last_error();
    publishers.push_back(std::move(*p));
  };
  for (int i = 0; i < 8; i++)
    publish();
  auto c = attach_to(nodes, 0, "c");
  auto all = subscribe(c, "x", 65);
  EXPECT_EQ(all.size(), 64u);
  expect_text("512 lanes");
  auto other = attach_to(nodes, 0, "other");
  auto s = other.subscriber("x");
  ASSERT_TRUE(s) << pen::last_error();
  publish();  // whom it cannot read any more
  pen::Message m;
  EXPECT_EQ(all[0].recv(m, kPatienceNs), PENSTOCK_CLOSED);
  expect_text("512 lanes");
  ASSERT_EQ(publishers.back().send(*publishers.back().topic("x"), "on we go"), PENSTOCK_OK);
  ASSERT_EQ(s->recv(m, kPatienceNs), PENSTOCK_OK);
  EXPECT_EQ(m.chars(), "on we go");
}

}  // namespace
}  // namespace penstock
