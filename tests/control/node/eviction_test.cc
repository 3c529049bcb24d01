// Who is evicted, and who is not.
#include "tests/control/node/played_by_hand.h"

namespace penstock {
namespace {

using Eviction = PlayedByHand;

// The position says what a reader let go of, its library what it showed: should the two ever
// differ, the books say so.
TEST_F(Eviction, AReaderThatCountsOtherwiseThanItReadsDoesNotBalance) {
  stamp(0);
  stamp(1);
  count(2);
  slot->shown.store(1);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
  EXPECT_EQ(reader()["sent"], 2);
  EXPECT_EQ(reader()["delivered"], 1);
  EXPECT_EQ(reader()["in_flight"], 0);
  slot->shown.store(2);
  EXPECT_EQ(reader()["delivered"], 2);
}

// The publisher was stopped between its two stores; the reader has read the message meanwhile.
TEST_F(Eviction, WhoReadAMessageThatIsNotCountedYetIsHonest) {
  stamp(0);
  count(1);
  stamp(1);
  slot->shown.store(2);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
  EXPECT_EQ(reader()["sent"], 2);
  EXPECT_EQ(reader()["delivered"], 2);
  count(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
}

// A worker counts once a burst.
TEST_F(Eviction, AWholeBurstMayBeUncounted) {
  for (uint64_t position = 0; position < kLane.ring_size(); position++)
    stamp(position);
  slot->position.store(kLane.ring_size());
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
}

TEST_F(Eviction, WhoClaimsOneMoreThanThereIsGoes) {
  stamp(0);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
  EXPECT_NE(log.find("claims position 2"), std::string::npos) << log;
}

TEST_F(Eviction, WhoGoesBackGoes) {
  stamp(0);
  stamp(1);
  count(2);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
  slot->position.store(1);
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
}

// What it had read by the last honest look is delivered, the rest was dropped.
TEST_F(Eviction, WhatALiarDidNotReadIsNotDelivered) {
  for (uint64_t position = 0; position < 5; position++)
    stamp(position);
  count(5);
  slot->position.store(2);
  settle();
  slot->position.store(1'000);
  EXPECT_EQ(reader()["delivered"], 2) << "before anybody has noticed";
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
  EXPECT_EQ(reader()["delivered"], 2);
  EXPECT_EQ(reader()["in_flight"], 3);
  subscriber.say(attach::Unsubscribe{.subscription = subscriber.subscriptions.at(0)});
  settle();
  const auto left = nlohmann::json::parse(node->show("lanes")).at(0).at("left");
  EXPECT_EQ(left["delivered"], 2) << left.dump();
  EXPECT_EQ(left["dropped"]["evicted"], 3) << left.dump();
}

// A stamp of an earlier lap is no message.
TEST_F(Eviction, AnOldStampDoesNotExcuseAnybody) {
  for (uint64_t position = 0; position < kLane.ring_size(); position++)
    stamp(position);
  count(kLane.ring_size());
  slot->position.store(kLane.ring_size() + 1);
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
}

}  // namespace
}  // namespace penstock
