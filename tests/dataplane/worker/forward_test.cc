// A lane on its way to a peer: what goes, what is skipped, what waits, and what is let go of when.
#include "dataplane/forward.h"

#include <gtest/gtest.h>
#include <vector>

#include "dataplane/link/in_lane.h"
#include "tests/dataplane/worker/link_pair.h"
#include "tests/support/test_lane.h"

namespace penstock {
namespace {

using test::LinkPair;
using test::TestLane;

constexpr LaneGeometry kLane{.ring_log2 = 5, .arena_log2 = 16, .topics = 4};
constexpr LaneGeometry kMirror{.ring_log2 = 3, .arena_log2 = 14, .topics = 4};
constexpr uint32_t kAlias = 5;

class ForwardTest : public ::testing::Test {
 protected:
  ForwardTest()
      : forward({.join = lane.read().join(),
                 .path = &links.here,
                 .alias = kAlias,
                 .epoch = 1,
                 .mirror = kMirror,
                 .region = &lane.region(),
                 .every_topic = false}),
        in(kAlias, 1, mirror.writer(), 1),
        reader(mirror.read()) {
    EXPECT_EQ(links.there.link.add_in(&in), Errc::kOk);
    EXPECT_EQ(links.here.link.add_out(&forward.out()), Errc::kOk);
  }

  // A message that says its number. False: the lane is full.
  bool publish(uint32_t topic = 0) {
    const bool sent =
        lane.writer().send({.topic = topic}, std::as_bytes(std::span(&next_, 1))) == Errc::kOk;
    next_ += sent ? 1 : 0;
    return sent;
  }
  void publish_all(const std::vector<uint32_t>& topics) {
    for (const uint32_t t : topics)
      ASSERT_TRUE(publish(t));
  }
  // The worker's turn, and all that follows from it.
  void turn() {
    forward.poll(links.now);
    links.settle();
  }
  // The numbers of what has come, which is let go of.
  std::vector<uint64_t> got() {
    std::vector<uint64_t> all;
    Message m;
    while (reader.next(m) == LaneReader::Next::kMessage) {
      uint64_t n = 0;
      std::memcpy(&n, m.data, sizeof n);
      all.push_back(n);
    }
    reader.release();
    return all;
  }
  uint64_t released() const { return forward.reader().released(); }

  using Numbers = std::vector<uint64_t>;
  LinkPair links;
  TestLane lane{kLane, 1};
  TestLane mirror{kMirror, 2};
  Forward forward;
  InLane in;
  LaneReader reader;

 private:
  uint64_t next_ = 0;
};

TEST_F(ForwardTest, BringsTheTopicsThatThePeerAskedForInOrder) {
  forward.set_topic(0, TopicUse::kSend);
  forward.set_topic(1, TopicUse::kSkip);
  publish_all({0, 1, 0, 1, 1, 0});
  turn();
  EXPECT_EQ(got(), (Numbers{0, 2, 5}));
  EXPECT_EQ(forward.skipped().read(), 3u);
  EXPECT_EQ(forward.out().stats().sent.read(), 3u);
}

TEST_F(ForwardTest, StopsBeforeATopicThatIsNotDecidedAndGoesOnFromThere) {
  forward.set_topic(0, TopicUse::kSend);
  publish_all({0, 1, 0});
  turn();
  EXPECT_EQ(got(), Numbers{0});
  EXPECT_FALSE(forward.quiet());  // it holds a message, so no bell may be waited for
  EXPECT_EQ(released(), 1u);
  turn();
  EXPECT_EQ(got(), Numbers{});
  forward.set_topic(1, TopicUse::kSend);
  turn();
  EXPECT_EQ(got(), (Numbers{1, 2}));
  EXPECT_TRUE(forward.quiet());
}

TEST_F(ForwardTest, AHeldMessageGoesWhenItsTopicIsDecidedThoughNothingFollowsIt) {
  publish_all({1});
  turn();
  EXPECT_EQ(got(), Numbers{});
  forward.set_topic(1, TopicUse::kSend);
  turn();
  EXPECT_EQ(got(), Numbers{0});
}

TEST_F(ForwardTest, ATopicThatTurnsOutUnwantedHoldsNobodyUp) {
  forward.set_topic(0, TopicUse::kSend);
  publish_all({1, 0});
  turn();
  EXPECT_EQ(got(), Numbers{});
  forward.set_topic(1, TopicUse::kSkip);
  turn();
  EXPECT_EQ(got(), Numbers{1});
  EXPECT_EQ(forward.skipped().read(), 1u);
  EXPECT_EQ(released(), 2u);
}

TEST_F(ForwardTest, LetsGoOfATailThatNobodyWanted) {
  forward.set_topic(0, TopicUse::kSend);
  forward.set_topic(1, TopicUse::kSkip);
  publish_all({0, 1, 1});
  turn();
  turn();
  EXPECT_EQ(released(), 3u);
  publish_all({1, 1});
  turn();
  turn();
  EXPECT_EQ(released(), 5u);
}

TEST_F(ForwardTest, LetsGoOnlyOfWhatHasArrived) {
  forward.set_topic(0, TopicUse::kSend);
  forward.set_topic(1, TopicUse::kSkip);
  publish_all({0, 0, 1});
  forward.poll(links.now);
  ASSERT_EQ(links.one_way(), 1u);
  EXPECT_EQ(got(), (Numbers{0, 1}));
  forward.poll(links.now);
  EXPECT_EQ(released(), 0u);  // the acknowledgement has not come
  links.settle();
  EXPECT_EQ(released(), 3u);
}

TEST_F(ForwardTest, AFullMirrorHoldsThePublisherAndLosesNothing) {
  forward.set_topic(0, TopicUse::kSend);
  uint64_t published = 0;
  for (int i = 0; i < 10; i++) {
    while (publish())
      published++;
    turn();
  }
  EXPECT_FALSE(publish());
  EXPECT_EQ(published, kMirror.ring_size() + kLane.ring_size());
  EXPECT_TRUE(forward.out().blocked());
  Numbers all;
  for (int i = 0; i < 50 && all.size() < published; i++) {
    for (const uint64_t n : got())
      all.push_back(n);
    turn();
  }
  ASSERT_EQ(all.size(), published);
  for (uint64_t i = 0; i < published; i++)
    EXPECT_EQ(all[i], i);
  EXPECT_EQ(released(), published);
  EXPECT_TRUE(publish());
}

TEST_F(ForwardTest, AGapGoesAlongWhateverItsTopic) {
  forward.set_topic(0, TopicUse::kSend);
  lane.writer().loan(0);
  lane.writer().commit({.topic = 3, .parts = 1, .flags = kFlagGap, .time_ns = 0, .key = 7}, 0);
  publish_all({0});
  turn();
  Message m;
  ASSERT_EQ(reader.next(m), LaneReader::Next::kGap);
  EXPECT_EQ(m.key, 7u);
  EXPECT_EQ(got().size(), 1u);
  EXPECT_EQ(released(), 2u);
}

TEST_F(ForwardTest, ATopicBeyondTheTableIsNobodys) {
  forward.set_topic(4, TopicUse::kSend);
  forward.set_topic(0, TopicUse::kSend);
  publish_all({0});
  turn();
  EXPECT_EQ(got(), Numbers{0});
}

TEST_F(ForwardTest, TheControlChannelAsksForNoTopic) {
  TestLane control(kLane, 9);
  Forward f({.join = control.read().join(),
             .path = &links.here,
             .alias = 0,
             .epoch = 1,
             .mirror = kMirror,
             .region = nullptr,
             .every_topic = true});
  TestLane arrives(kMirror, 10);
  InLane to(0, 1, arrives.writer(), 9);
  LaneReader r = arrives.read();
  ASSERT_EQ(links.there.link.add_in(&to), Errc::kOk);
  ASSERT_EQ(links.here.link.add_out(&f.out()), Errc::kOk);
  ASSERT_EQ(control.writer().send({}, {}), Errc::kOk);
  f.poll(links.now);
  links.settle();
  EXPECT_TRUE(r.ready());
}

// Of what is under way nothing is let go of: whoever ends the forward counts it as lost.
TEST_F(ForwardTest, AfterTheSessionNothingIsReadAndNothingLetGoOf) {
  forward.set_topic(0, TopicUse::kSend);
  publish_all({0});
  turn();
  publish_all({0, 0});
  forward.poll(links.now);
  ASSERT_EQ(links.one_way(), 1u);
  links.here.link.close(LinkClose::kStopped, links.now);
  links.settle();
  publish_all({0});
  turn();
  EXPECT_EQ(forward.out().stats().sent.read(), 3u);
  EXPECT_EQ(forward.out().stats().in_flight(), 2u);
  EXPECT_EQ(released(), 1u);
}

}  // namespace
}  // namespace penstock
