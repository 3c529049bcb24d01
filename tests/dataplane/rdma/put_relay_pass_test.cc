// The relay of messages that go down a chain by RDMA.
#include "dataplane/put_relay.h"
#include "tests/dataplane/rdma/put_relay_rig.h"

namespace penstock {
namespace {

using test::PutRelayTest;

TEST_F(PutRelayTest, PutsOnWhatItsSourceAndTheReceiverWant) {
  give_all(0);
  EXPECT_EQ(pass(), Drop::kNone);
  turn();
  EXPECT_TRUE(hand.notes.empty());
  grant();
  turn(kMs);
  ASSERT_EQ(hand.records.size(), 1u);
  EXPECT_EQ(hand.records[0].connection, 77u);
  EXPECT_EQ(hand.records[0].message.alias, 6u);
  EXPECT_EQ(hand.records[0].message.position, 7u);
  EXPECT_EQ(hand.landed_bytes, kLen);
  EXPECT_EQ(std::memcmp(&memory[128], bytes.data(), kLen), 0);
  ASSERT_EQ(hand.notes.size(), 1u);
  EXPECT_EQ(hand.notes[0].kind, PassNote::Kind::kOver);
  EXPECT_EQ(rails.relay().stats().passed.read(), 1u);
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

TEST_F(PutRelayTest, WhoAsksBeforeTheSourceIsWaitedFor) {
  give_all(0);
  grant();
  EXPECT_TRUE(hand.records.empty());
  EXPECT_EQ(pass(), Drop::kNone);
  turn(kMs);
  EXPECT_EQ(hand.landed_bytes, kLen);
}

TEST_F(PutRelayTest, PutsNothingThatItsSourceDoesNotWant) {
  give_all(0);
  grant(8);
  turn(150 * kMs);
  EXPECT_TRUE(hand.records.empty());
  ASSERT_EQ(hand.notes.size(), 1u);
  EXPECT_EQ(hand.notes[0].kind, PassNote::Kind::kOver);
  EXPECT_EQ(hand.notes[0].position, 8u);
}

TEST_F(PutRelayTest, PutsNothingThatTheReceiverDoesNotAskFor) {
  give_all(0);
  EXPECT_EQ(pass(), Drop::kNone);
  turn(150 * kMs);
  EXPECT_TRUE(hand.records.empty());
  EXPECT_TRUE(hand.notes.empty());
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

// Its readers have let go of it, and its place may be another's: until the device has read it, it
// is not.
TEST_F(PutRelayTest, KeepsTheBytesUntilTheDeviceHasReadThem) {
  EXPECT_EQ(give(0, 1024), Drop::kNone);
  EXPECT_EQ(pass(), Drop::kNone);
  grant();
  give_all(0);
  EXPECT_EQ(read(), 1u);
  EXPECT_EQ(credit(), 0u);
  turn(kMs);
  EXPECT_EQ(hand.landed_bytes, kLen);
  EXPECT_EQ(credit(), kLen);
}

// It is not its fault: the device has taken all of it.
TEST_F(PutRelayTest, AReceiverThatStandsStillHoldsNoBytes) {
  give_all(0);
  EXPECT_EQ(pass(), Drop::kNone);
  ask();
  idle = true;
  EXPECT_EQ(read(), 1u);
  turn(5 * kMs);
  EXPECT_EQ(credit(), kLen);
  EXPECT_TRUE(hand.notes.empty()) << "what it has not seen land is not over";
  idle = false;
  turn(kMs);
  EXPECT_EQ(hand.notes.size(), 1u);
}

TEST_F(PutRelayTest, WhatIsNotHereAnyMoreIsOverAtOnce) {
  give_all(0);
  EXPECT_EQ(read(), 1u);
  EXPECT_EQ(credit(), kLen);
  EXPECT_EQ(pass(), Drop::kNone);
  grant();
  turn(kMs);
  EXPECT_TRUE(hand.records.empty());
  ASSERT_EQ(hand.notes.size(), 1u);
  EXPECT_EQ(hand.notes[0].kind, PassNote::Kind::kOver);
}

// The source says that it is longer than the place.
TEST_F(PutRelayTest, PutsNothingOfAnotherLengthThanTheReceiverAskedFor) {
  give_all(0);
  ask(7, 2, 2048);
  turn();
  EXPECT_EQ(pass(), Drop::kNone);
  turn(kMs);
  EXPECT_TRUE(hand.records.empty());
  ASSERT_EQ(hand.notes.size(), 1u);
  EXPECT_EQ(hand.notes[0].kind, PassNote::Kind::kOver);
  EXPECT_TRUE(mirror.region().in_flight.idle());
  EXPECT_EQ(path.state(), RdmaPath::State::kUp);
}

// Another source than the message's names it.
TEST_F(PutRelayTest, PutsNothingOfAnotherSource) {
  give_all(0);
  ask(7, 4);
  EXPECT_EQ(pass(), Drop::kNone);
  turn(150 * kMs);
  EXPECT_TRUE(hand.records.empty());
  EXPECT_EQ(hand.notes.size(), 1u);
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

// All transfers are in use when nobody has come for what was asked for; then the source does.
TEST_F(PutRelayTest, WhatIsOverIsNotBegunAnew) {
  give_all(0);
  grant();
  idle = true;
  while (path_end.connection->has_slot())
    ASSERT_TRUE(path_end.connection->note({.kind = PassNote::Kind::kOver, .connection = 1}));
  turn(150 * kMs);
  EXPECT_EQ(pass(), Drop::kNone);
  idle = false;
  turn(150 * kMs);
  EXPECT_TRUE(hand.records.empty());
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

TEST_F(PutRelayTest, WhatNobodyAsksForEndsWithTheLastRail) {
  give_all(0);
  EXPECT_EQ(pass(), Drop::kNone);
  EXPECT_FALSE(mirror.region().in_flight.idle());
  path.stop();
  turn(5 * kMs);
  EXPECT_EQ(path.state(), RdmaPath::State::kStopped);
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

TEST_F(PutRelayTest, AMirrorThatLeavesIsOver) {
  EXPECT_EQ(give(0, 1024), Drop::kNone);
  EXPECT_EQ(pass(), Drop::kNone);
  grant();
  EXPECT_EQ(two.link.remove_in(5), Errc::kOk);
  turn(kMs);
  ASSERT_EQ(hand.notes.size(), 1u);
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

TEST_F(PutRelayTest, WhoAsksForMoreThanMayBeUnderWayIsCutOff) {
  for (uint64_t i = 0; i < 200 && path.state() == RdmaPath::State::kUp; i++)
    grant(100 + i);
  EXPECT_NE(path.state(), RdmaPath::State::kUp);
}

}  // namespace
}  // namespace penstock
