// When a subscription is too slow for its policy, on virtual time.
#include "tests/control/node/played_by_hand.h"

namespace penstock {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kFull = kLane.ring_size();

struct TooSlow : PlayedByHand {
  using PlayedByHand::PlayedByHand;

  void wait(uint64_t ns) {
    for (const uint64_t end = now + ns; now < end;)
      settle();
  }
  std::string mode() { return reader()["mode"]; }
};

struct Block : TooSlow {
  Block() : TooSlow({.block_ns = 2 * kSecond}) {}
};

TEST_F(Block, EscalatesWhenItHeldAFullPublisherBackForSoLong) {
  publish(kFull);
  no_room_at(kFull);
  wait(3 * kSecond / 2);
  EXPECT_EQ(mode(), "reliable") << log;
  wait(kSecond);
  EXPECT_EQ(mode(), "evicted") << log;
  EXPECT_NE(log.find("too slow for its policy block"), std::string::npos) << log;
  ASSERT_EQ(subscriber.ended.size(), 1u);
  EXPECT_EQ(subscriber.ended[0].subscription, subscriber.subscriptions.at(0));
  EXPECT_EQ(subscriber.leaves.size(), 1u);
}

TEST_F(Block, WaitsForEverForWhoHoldsNobodyBack) {
  publish(kFull - 1);
  wait(10 * kSecond);
  EXPECT_EQ(mode(), "reliable") << log;
  // There was no room once, and has been since.
  no_room_at(kFull - 2);
  wait(10 * kSecond);
  EXPECT_EQ(mode(), "reliable") << log;
}

TEST_F(Block, BeginsAnewWheneverSomethingIsLetGoOf) {
  publish(kFull);
  no_room_at(kFull);
  for (uint64_t position = 1; position < kFull; position++) {
    wait(3 * kSecond / 2);
    slot->position.store(position);
  }
  EXPECT_EQ(mode(), "reliable") << log;
  wait(5 * kSecond / 2);
  EXPECT_EQ(mode(), "evicted") << log;
}

// A reader that was told of the lane and never took its place there holds the publisher just so.
TEST_F(Block, CountsWhoNeverBegan) {
  slot->generation.store(0);
  publish(kFull);
  no_room_at(kFull);
  wait(5 * kSecond / 2);
  EXPECT_EQ(mode(), "evicted") << log;
}

// The program took three, and has counted two more when it hears that it is out.
TEST_F(Block, TheBooksSayWhatItGotAndWhatItMissed) {
  publish(kFull);
  slot->shown.store(3);
  slot->position.store(3);
  no_room_at(kFull);
  wait(3 * kSecond);
  EXPECT_EQ(mode(), "evicted") << log;
  slot->shown.store(5);
  slot->position.store(5);
  const attach::Leave& leave = subscriber.leaves.at(0);
  subscriber.say(attach::Released{
      .lane_id = leave.lane_id, .slot = leave.slot, .generation = leave.generation});
  settle();
  const auto left = nlohmann::json::parse(node->show("lanes")).at(0).at("left");
  EXPECT_EQ(left["sent"], kFull) << left.dump();
  EXPECT_EQ(left["delivered"], 5) << left.dump();
  EXPECT_EQ(left["dropped"]["too_slow"], kFull - 5) << left.dump();
  EXPECT_EQ(nlohmann::json::parse(node->show("drops"))["too_slow"], kFull - 5);
}

struct Disconnect : TooSlow {
  Disconnect() : TooSlow({.policy = attach::Policy::kDisconnect, .limit_messages = 5}) {}
};

TEST_F(Disconnect, EndsBeyondItsLimit) {
  publish(5);
  settle();
  EXPECT_EQ(mode(), "disconnect") << log;
  publish(6);
  settle();
  EXPECT_EQ(mode(), "evicted") << log;
  ASSERT_EQ(subscriber.ended.size(), 1u);
  EXPECT_NE(std::string(subscriber.ended[0].text).find("6 messages"), std::string::npos)
      << subscriber.ended[0].text;
}

TEST_F(Disconnect, EndsAtOnceWhenItHoldsThePublisherBack) {
  publish(2);
  no_room_at(2);
  settle();
  EXPECT_EQ(mode(), "evicted") << log;
}

TEST_F(Disconnect, AnotherSubscriptionDoesNotGetTheBlame) {
  Guest other;
  other.attach(*node, now);
  other.say(attach::Hello{});
  settle();
  other.say(attach::Mapped{});
  attach::Subscribe subscribe;
  peer::set_text(subscribe.filter, "t");
  other.say(subscribe);
  settle();
  publish(4);
  slot->shown.store(2);
  slot->position.store(2);
  no_room_at(4);
  settle();
  EXPECT_EQ(mode(), "disconnect") << log;
}

}  // namespace
}  // namespace penstock
