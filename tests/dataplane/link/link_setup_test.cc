// How sessions begin, and who is refused.
#include <gtest/gtest.h>

#include "tests/support/scripted_peer.h"

namespace penstock {
namespace {

using test::ScriptedPeer;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;

TEST(Session, HelloSaysWhoCalls) {
  ScriptedPeer p;
  p.link.start(p.now);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].hop.type, FrameType::kHello);
  EXPECT_EQ(sent[0].hop.connection, 0u);
  EXPECT_EQ(sent[0].hop.incarnation, 3u);
  const auto h = parse_hello(sent[0].span());
  ASSERT_TRUE(h);
  EXPECT_EQ(h->node, ScriptedPeer::kLinkId);
  EXPECT_EQ(h->epoch, 3u);
  EXPECT_EQ(h->peer_epoch, 0u);
  EXPECT_EQ(h->max_frame, ScriptedPeer::kFrame);
  EXPECT_EQ(h->connection, p.link.connection());
  EXPECT_EQ(connection_worker(h->connection), 1u);
  EXPECT_EQ(Link::index_of(h->connection), 9u);
}

TEST(Session, HelloIsRepeatedWithPausesThatDoubleToASecond) {
  ScriptedPeer p;
  const uint64_t start = p.now;
  p.link.start(p.now);
  std::vector<uint64_t> at;
  for (; p.now < start + 4 * kSecond; p.now += kMs) {
    if (!p.link.has_work(p.now)) continue;
    for (size_t n = p.take(FrameType::kHello).size(); n > 0; n--)
      at.push_back((p.now - start) / kMs);
  }
  EXPECT_EQ(at, (std::vector<uint64_t>{0, 50, 150, 350, 750, 1550, 2550, 3550}));
}

TEST(Session, ComesUpWhenItsHelloIsAnswered) {
  ScriptedPeer p;
  p.link.start(p.now);
  auto h = p.hello();
  h.nonce = parse_hello(p.take().at(0).span())->nonce;
  EXPECT_EQ(p.give_hello_ack(h), Drop::kNone);
  EXPECT_TRUE(p.link.up());
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, LinkEvent::kUp);
  EXPECT_EQ(events[0].peer_epoch, ScriptedPeer::kEpoch);
  // And says so, so that the peer comes up as well; and asks how large a frame may be.
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].hop.type, FrameType::kPing);
  EXPECT_EQ(sent[1].body.size() + kHopHeaderSize, p.link.frame_limit());
  EXPECT_EQ(sent[0].hop.type, FrameType::kPing);
  EXPECT_EQ(sent[0].hop.connection, ScriptedPeer::kConnection);
}

TEST(Session, ComesUpWhenTheCallerNamesIt) {
  ScriptedPeer p;
  p.link.start(p.now);
  p.take();
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  EXPECT_FALSE(p.link.up());
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].hop.type, FrameType::kHelloAck);
  EXPECT_EQ(sent[0].hop.connection, ScriptedPeer::kConnection);
  EXPECT_EQ(parse_hello_ack(sent[0].span())->nonce, 100u);
  EXPECT_EQ(p.give_ping(), Drop::kNone);
  EXPECT_TRUE(p.link.up());
}

TEST(Session, NothingIsTakenBeforeThePeerIsKnown) {
  ScriptedPeer p;
  EXPECT_EQ(p.give_ping(), Drop::kUnknownPeer);  // not started
  p.link.start(p.now);
  EXPECT_EQ(p.give_ping(), Drop::kUnknownPeer);
  EXPECT_FALSE(p.link.up());
}

TEST(Session, AnAnswerToAnotherHelloIsRefused) {
  ScriptedPeer p;
  p.link.start(p.now);
  auto h = p.hello();
  h.nonce = parse_hello(p.take().at(0).span())->nonce + 1;
  EXPECT_EQ(p.give_hello_ack(h), Drop::kStaleEpoch);
  EXPECT_FALSE(p.link.up());
}

// Asked to show that it can be reached it says the same again with the cookie; once for each.
TEST(Session, ARetryIsAnsweredOnce) {
  ScriptedPeer p;
  p.link.start(p.now);
  const auto first = *parse_hello(p.take().at(0).span());
  EXPECT_EQ(first.cookie, 0u);
  EXPECT_TRUE(p.take().empty());
  EXPECT_EQ(p.give_retry({first.nonce + 1, 5}), Drop::kStaleEpoch);
  EXPECT_TRUE(p.take().empty());
  EXPECT_EQ(p.give_retry({first.nonce, 5}), Drop::kNone);
  auto again = *parse_hello(p.take().at(0).span());
  EXPECT_EQ(again.cookie, 5u);
  again.cookie = 0;
  EXPECT_EQ(again, first);
  EXPECT_EQ(p.give_retry({first.nonce, 5}), Drop::kDuplicate);
  EXPECT_TRUE(p.take().empty());
  // In a session it means nothing.
  Hello h = p.hello();
  h.nonce = first.nonce;
  p.give_hello_ack(h);
  ASSERT_TRUE(p.link.up());
  EXPECT_EQ(p.give_retry({first.nonce, 6}), Drop::kStaleEpoch);
  EXPECT_TRUE(p.link.up());
}

TEST(Session, StrangersAreRefused) {
  ScriptedPeer p;
  p.link.start(p.now);
  auto h = p.hello();
  h.node = 99;
  EXPECT_EQ(p.give_hello(h), Drop::kUnknownPeer);
  h = p.hello();
  h.path = 1;
  EXPECT_EQ(p.give_hello(h), Drop::kUnknownPeer);
  h = p.hello();
  h.max_frame = 1000;
  EXPECT_EQ(p.give_hello(h), Drop::kBadFrame);
  h = p.hello();
  h.connection = 0;
  EXPECT_EQ(p.give_hello(h), Drop::kBadFrame);
  EXPECT_TRUE(p.take(FrameType::kHelloAck).empty());
}

TEST(Session, TheSmallerFrameCounts) {
  ScriptedPeer p;
  p.link.start(p.now);
  auto h = p.hello();
  h.max_frame = 1300;
  p.give_hello(h);
  EXPECT_EQ(p.link.frame_limit(), 1300u);
}

TEST(Session, AnotherProtocolIsToldSoOnceASecond) {
  ScriptedPeer p;
  p.link.start(p.now);
  p.take();
  auto h = p.hello();
  h.protocol = kProtocol - 1;
  EXPECT_EQ(p.give_hello(h), Drop::kBadVersion);
  EXPECT_EQ(p.give_hello(h), Drop::kBadVersion);
  const auto sent = p.take();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].hop.type, FrameType::kClose);
  EXPECT_EQ(sent[0].hop.connection, ScriptedPeer::kConnection);
  EXPECT_EQ(*parse_close(sent[0].span()), (Close{LinkClose::kVersion, kProtocol}));
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, LinkEvent::kRefused);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerVersion);
  p.give_hello(h);
  EXPECT_TRUE(p.take(FrameType::kClose).empty());
  p.now += kSecond;
  p.give_hello(h);
  EXPECT_EQ(p.take(FrameType::kClose).size(), 1u);
}

TEST(Session, ARefusalIsPassedOn) {
  ScriptedPeer p;
  p.link.start(p.now);
  EXPECT_EQ(p.give_close(LinkClose::kVersion), Drop::kNone);
  ASSERT_EQ(p.events().size(), 1u);
  p.now += 2 * kSecond;
  EXPECT_EQ(p.give_close(LinkClose::kReplaced), Drop::kNone);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kStaleHere);
  EXPECT_EQ(p.link.state(), LinkState::kConnecting);
}

TEST(Session, ALeftOverLearnsThatItIsOne) {
  ScriptedPeer p;
  p.link.start(p.now);
  auto h = p.hello();
  h.peer_epoch = 4;  // ours is 3
  EXPECT_EQ(p.give_hello(h), Drop::kStaleEpoch);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kStaleHere);
}

TEST(Session, ALowerEpochIsRefusedAndTheSessionStands) {
  ScriptedPeer p;
  p.connect();
  auto h = p.hello();
  h.epoch--;
  h.connection++;
  EXPECT_EQ(p.give_hello(h), Drop::kStaleEpoch);
  const auto sent = p.take(FrameType::kClose);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].hop.connection, h.connection);
  EXPECT_EQ(parse_close(sent[0].span())->reason, LinkClose::kReplaced);
  EXPECT_TRUE(p.link.up());
  EXPECT_TRUE(p.events().empty());
}

TEST(Session, AHigherEpochEndsItAndBeginsAnother) {
  ScriptedPeer p;
  p.connect();
  const uint32_t old_connection = p.link.connection();
  p.epoch++;
  p.connection++;
  p.nonce = 1;  // a new life may count from anywhere
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, LinkEvent::kDown);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerRestarted);
  EXPECT_NE(p.link.connection(), old_connection);
  EXPECT_EQ(p.take(FrameType::kHelloAck).size(), 1u);
  EXPECT_EQ(p.give_ping(), Drop::kNone);
  EXPECT_TRUE(p.link.up());
  EXPECT_EQ(p.link.peer_epoch(), p.epoch);
}

TEST(Session, FramesOfTheOldSessionAreDropped) {
  ScriptedPeer p;
  p.connect();
  const uint32_t old_connection = p.link.connection();
  p.epoch++;
  p.connection++;
  p.give_hello(p.hello());
  p.give_ping();
  ASSERT_TRUE(p.link.up());
  const HopHeader to_old{.type = FrameType::kPing,
                         .incarnation = static_cast<uint16_t>(p.epoch - 1),
                         .connection = old_connection,
                         .packet = 1000};
  EXPECT_EQ(p.give(to_old, test::Bytes(kPingSize)), Drop::kUnknownPeer);
  HopHeader old_life = to_old;
  old_life.connection = p.link.connection();
  EXPECT_EQ(p.give(old_life, test::Bytes(kPingSize)), Drop::kStaleEpoch);
}

TEST(Session, TheSameHelloAgainIsAnsweredAgain) {
  ScriptedPeer p;
  p.connect();
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  EXPECT_EQ(p.give_hello(p.hello()), Drop::kNone);
  EXPECT_EQ(p.take(FrameType::kHelloAck).size(), 1u);
  EXPECT_TRUE(p.link.up());
  EXPECT_TRUE(p.events().empty());
}

TEST(Session, ANewNonceIsANewSessionAndAnOldOneIsNot) {
  ScriptedPeer p;
  p.connect();
  p.give_hello(p.hello());  // now its nonce is known: 100
  auto h = p.hello();
  h.connection++;
  h.nonce = 99;
  EXPECT_EQ(p.give_hello(h), Drop::kStaleEpoch);
  EXPECT_TRUE(p.link.up());
  h.nonce = 101;
  EXPECT_EQ(p.give_hello(h), Drop::kNone);
  const auto events = p.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].why, LinkEvent::kPeerReset);
}

}  // namespace
}  // namespace penstock
