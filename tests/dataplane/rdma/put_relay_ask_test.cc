// The receiver of messages that go down a chain by RDMA.
#include "dataplane/put_relay.h"
#include "tests/dataplane/rdma/put_relay_rig.h"

namespace penstock {
namespace {

using test::PutRelayTest;

TEST_F(PutRelayTest, AsksItsRelayForWhatWasAnnounced) {
  EXPECT_EQ(announce(), Drop::kNone);
  turn();
  ASSERT_EQ(hand.notes.size(), 1u);
  const PassNote asked = hand.notes[0];
  EXPECT_EQ(asked.kind, PassNote::Kind::kGrant);
  EXPECT_EQ(asked.connection, two.link.connection());
  EXPECT_EQ(asked.alias, 5u);
  EXPECT_EQ(asked.message_len, kLen);
  EXPECT_EQ(asked.address, arena.remote_address);
  put(asked);
  EXPECT_EQ(read(), 1u);
  EXPECT_EQ(in.stats().put.read(), 1u) << "the announced piece does not make it a copied one";
  const auto landed = two.take(FrameType::kLanded);
  ASSERT_EQ(landed.size(), 1u);
  EXPECT_EQ(*parse_landed(landed[0].span()), (Landed{5, 1, 1, 0}));
}

TEST_F(PutRelayTest, GivesThePlaceToNobodyElseUntilItIsOver) {
  EXPECT_EQ(announce(), Drop::kNone);
  turn();
  put(hand.notes.at(0));
  EXPECT_EQ(read(), 1u);
  EXPECT_FALSE(mirror.region().in_flight.idle());
  EXPECT_EQ(credit(), 0u);
  give_all(1);
  EXPECT_EQ(read(), 1u);
  EXPECT_EQ(credit(), 0u) << "nor what is behind it";
  say_over(hand.notes.at(0));
  EXPECT_EQ(credit(), 2u * kLen);
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

// It has the message from its source by then.
TEST_F(PutRelayTest, TakesThePlaceBackFromARelayThatSaysNothing) {
  EXPECT_EQ(announce(), Drop::kNone);
  turn();
  give_all(0);
  EXPECT_EQ(read(), 1u);
  turn(200 * kMs);
  EXPECT_EQ(path.state(), RdmaPath::State::kUp);
  EXPECT_EQ(credit(), 0u);
  turn(100 * kMs);
  EXPECT_NE(path.state(), RdmaPath::State::kUp);
  EXPECT_EQ(rails.relay().stats().revoked.read(), 1u);
  turn(5 * kMs);
  EXPECT_EQ(path.state(), RdmaPath::State::kStopped);
  EXPECT_EQ(credit(), kLen);
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

TEST_F(PutRelayTest, TellsTheSourceWhenItCannotAsk) {
  EXPECT_EQ(announce(0, 4), Drop::kNone) << "a node that it does not know";
  two.now += kMs;
  auto landed = two.take(FrameType::kLanded);
  ASSERT_EQ(landed.size(), 1u);
  EXPECT_EQ(*parse_landed(landed[0].span()), (Landed{5, 1, 0, Landed::kRefused | 64}));
  EXPECT_EQ(credit(), 0u);
  give_all(0);
  EXPECT_EQ(read(), 1u);
  EXPECT_EQ(credit(), kLen) << "nothing is held";
}

// How much of it there is, and that no more comes.
TEST_F(PutRelayTest, TellsTheSourceWhenItsRelayGivesUp) {
  EXPECT_EQ(announce(), Drop::kNone);
  turn();
  (void)two.take();
  say_over(hand.notes.at(0));
  two.now += kMs;
  const auto landed = two.take(FrameType::kLanded);
  ASSERT_EQ(landed.size(), 1u);
  EXPECT_EQ(*parse_landed(landed[0].span()), (Landed{5, 1, 0, Landed::kRefused | 64}));
}

// Of each of them.
TEST_F(PutRelayTest, TellsTheSourceOfAllThatItCannotAskFor) {
  EXPECT_EQ(announce(0, 4), Drop::kNone);
  EXPECT_EQ(announce(1, 4), Drop::kNone);
  two.now += kMs;
  const auto landed = two.take(FrameType::kLanded);
  ASSERT_EQ(landed.size(), 2u);
  for (uint64_t i = 0; i < 2; i++)
    EXPECT_EQ(*parse_landed(landed[i].span()), (Landed{5, 1, i, Landed::kRefused | 64}));
}

// What is busy is not dead.
TEST_F(PutRelayTest, WaitsForARelayThatGetsOnWithOtherThings) {
  EXPECT_EQ(announce(), Drop::kNone);
  turn();
  give_all(0);
  for (uint64_t i = 0; i < 10; i++) {
    turn(200 * kMs);
    ask(100 + i);  // says something, at least
  }
  EXPECT_EQ(path.state(), RdmaPath::State::kUp);
  for (uint64_t i = 0; i < 20; i++) {
    turn(200 * kMs);
    if (path.state() == RdmaPath::State::kUp) ask(200 + i);
  }
  EXPECT_NE(path.state(), RdmaPath::State::kUp) << "but not for ever";
}

TEST_F(PutRelayTest, BelievesNoPutThatItDidNotAskFor) {
  PassNote asked{.connection = two.link.connection(),
                 .alias = 5,
                 .epoch = 1,
                 .position = 0,
                 .message_len = kLen,
                 .address = arena.remote_address,
                 .key = arena.remote_key};
  EXPECT_EQ(give(0, 64), Drop::kNone);
  put(asked);
  EXPECT_NE(path.state(), RdmaPath::State::kUp);
  EXPECT_EQ(read(), 0u);
}

TEST_F(PutRelayTest, BelievesNoEndOfWhatItDidNotAskFor) {
  say_over({.connection = 1, .alias = 5, .epoch = 1});
  EXPECT_NE(path.state(), RdmaPath::State::kUp);
}

// The lane is gone, and its memory stays where it is until the relay is done with it.
TEST_F(PutRelayTest, KeepsTheMemoryOfAMirrorThatLeaves) {
  EXPECT_EQ(announce(), Drop::kNone);
  turn();
  EXPECT_EQ(two.link.remove_in(5), Errc::kOk);
  EXPECT_FALSE(mirror.region().in_flight.idle());
  put(hand.notes.at(0));
  EXPECT_EQ(path.state(), RdmaPath::State::kUp) << "it could not know";
  EXPECT_FALSE(mirror.region().in_flight.idle());
  say_over(hand.notes.at(0));
  EXPECT_TRUE(mirror.region().in_flight.idle());
}

}  // namespace
}  // namespace penstock
