#include <array>
#include <gtest/gtest.h>
#include <numeric>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "dataplane/client/penstock.hpp"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

class Sender : public ::testing::Test {
 protected:
  MiniNode node;
  pen::Client client = std::move(*pen::Client::attach("tester", node.socket()));
};

TEST_F(Sender, TopicIsValidatedAndFoundAgain) {
  auto p = client.publisher();
  const auto a = p->topic("grad.layer3.w");
  ASSERT_TRUE(a) << pen::last_error();
  EXPECT_EQ(*p->topic("grad.layer3.w"), *a);
  EXPECT_NE(*p->topic("grad.layer4.w"), *a);
  for (const char* bad : {"", ".", "a..b", "a.", ".a", "a.*", "#", "a b"})
    EXPECT_EQ(p->topic(bad).code(), PENSTOCK_BAD_TOPIC) << bad;
  EXPECT_EQ(p->topic(std::string(256, 'a')).code(), PENSTOCK_BAD_TOPIC);
  EXPECT_TRUE(p->topic(std::string(255, 'a')));
}

TEST_F(Sender, TopicTableHasAnEnd) {
  auto p = client.publisher({.max_topics = 2});
  EXPECT_TRUE(p->topic("a"));
  EXPECT_TRUE(p->topic("b"));
  EXPECT_EQ(p->topic("c").code(), PENSTOCK_FULL);
  EXPECT_NE(std::string(pen::last_error()).find("max_topics"), std::string::npos);
}

TEST_F(Sender, TopicThatTheNodeRefusesCannotBeSentTo) {
  auto p = client.publisher();
  EXPECT_EQ(p->topic("forbidden").code(), PENSTOCK_DENIED);
  EXPECT_EQ(p->send(0, "x"), PENSTOCK_BAD_TOPIC);
  const uint32_t id = *p->topic("allowed");
  EXPECT_EQ(p->send(id, "x"), PENSTOCK_OK);
  EXPECT_EQ(p->send(id + 1, "x"), PENSTOCK_BAD_TOPIC);
}

TEST_F(Sender, SizesAreCheckedBeforeTheNodeIsAsked) {
  EXPECT_EQ(client.publisher({.ring_entries = 1u << 25}).code(), PENSTOCK_INVALID);
  EXPECT_EQ(client.publisher({.arena_bytes = uint64_t{1} << 40}).code(), PENSTOCK_INVALID);
  EXPECT_EQ(client.publisher({.max_topics = 70'000}).code(), PENSTOCK_INVALID);
  EXPECT_EQ(client.publisher({.name = ""}).code(), PENSTOCK_INVALID);
}

TEST_F(Sender, WithoutSubscribersMessagesGoNowhere) {
  auto p = client.publisher({.ring_entries = 4});
  const uint32_t t = *p->topic("t");
  for (int i = 0; i < 100; i++)
    EXPECT_EQ(p->send(t, "x"), PENSTOCK_OK);
  EXPECT_EQ(p->stats().sent, 100u);
  EXPECT_EQ(p->stats().bytes, 100u);
  EXPECT_EQ(p->stats().readers, 0u);
}

TEST_F(Sender, BlocksWhenASubscriberIsBehind) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.ring_entries = 8});
  const uint32_t t = *p->topic("t");
  EXPECT_EQ(p->stats().readers, 1u);
  for (int i = 0; i < 8; i++)
    ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, "x"), PENSTOCK_WOULD_BLOCK);
  EXPECT_EQ(p->send_wait(t, "x", 1'000'000), PENSTOCK_WOULD_BLOCK);
  EXPECT_EQ(p->stats().would_block, 2u);
  pen::Message m;
  for (int i = 0; i < 8; i++)
    ASSERT_EQ(s->recv(m, 0), PENSTOCK_OK);
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);  // empty: everything is let go of
  EXPECT_EQ(p->send(t, "x"), PENSTOCK_OK);
}

TEST_F(Sender, BlocksWhenTheArenaIsFull) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.arena_bytes = 4096});
  const uint32_t t = *p->topic("t");
  const std::vector<char> half(2048);
  EXPECT_EQ(p->send(t, half), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, half), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, half), PENSTOCK_WOULD_BLOCK);
  EXPECT_EQ(p->send(t, std::vector<char>(4097)), PENSTOCK_TOO_BIG);
  pen::Message m;
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, half), PENSTOCK_WOULD_BLOCK);  // it is still looked at
  s->release();
  EXPECT_EQ(p->send(t, half), PENSTOCK_OK);
}

TEST_F(Sender, WaitsForRoom) {
  auto other = std::move(*pen::Client::attach("other", node.socket()));
  auto s = other.subscriber("t");
  auto p = client.publisher({.ring_entries = 4});
  const uint32_t t = *p->topic("t");
  std::thread reader([&] {
    pen::Message m;
    for (int i = 0; i < 1000; i++)
      ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  });
  for (int i = 0; i < 1000; i++)
    ASSERT_EQ(p->send_wait(t, "x"), PENSTOCK_OK);
  reader.join();
}

TEST_F(Sender, LoanIsWrittenInPlace) {
  auto s = client.subscriber("t");
  auto p = client.publisher();
  const uint32_t t = *p->topic("t");
  EXPECT_EQ(p->commit(t, 1), PENSTOCK_INVALID);
  auto room = p->loan(100);
  ASSERT_TRUE(room);
  ASSERT_EQ(room->size(), 100u);
  (*room)[0] = std::byte{42};
  EXPECT_EQ(p->commit(t, 101), PENSTOCK_INVALID);
  EXPECT_EQ(p->commit(t + 7, 50), PENSTOCK_BAD_TOPIC);
  EXPECT_EQ(p->commit(t, 50), PENSTOCK_OK);
  EXPECT_EQ(p->commit(t, 50), PENSTOCK_INVALID);
  pen::Message m;
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  ASSERT_EQ(m.len, 50u);
  EXPECT_EQ(m.bytes()[0], std::byte{42});
}

TEST_F(Sender, WhatWasLoanedWhenTheNodeClosedTheLaneIsRefused) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.name = "p"});
  const uint32_t t = *p->topic("t");
  ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
  ASSERT_TRUE(p->loan(8));
  node.lose_lane_of("p");
  EXPECT_EQ(p->commit(t, 8), PENSTOCK_CLOSED);
  EXPECT_EQ(p->commit(t, 8), PENSTOCK_INVALID);
  EXPECT_FALSE(p->loan(8));
}

TEST_F(Sender, PartsArriveAsOneMessage) {
  auto s = client.subscriber("t");
  auto p = client.publisher();
  const uint32_t t = *p->topic("t");
  std::vector<std::string> text;
  std::vector<penstock_bytes> parts;
  for (int i = 0; i < 20; i++)
    text.push_back(std::string(static_cast<size_t>(i), static_cast<char>('a' + i)));
  for (const auto& x : text)
    parts.push_back({x.data(), x.size()});
  EXPECT_EQ(p->sendv(t, parts, 77), PENSTOCK_OK);
  EXPECT_EQ(p->sendv(t, {}), PENSTOCK_INVALID);
  const penstock_bytes one{"alone", 5};
  EXPECT_EQ(p->sendv(t, {&one, 1}), PENSTOCK_OK);
  pen::Message m;
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  ASSERT_EQ(m.parts, 20u);
  EXPECT_EQ(m.key, 77u);
  for (uint32_t i = 0; i < 20; i++) {
    const auto part = m.part(i);
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(part.data()), part.size()), text[i]);
  }
  penstock_bytes none{};
  EXPECT_EQ(penstock_part(&m, 20, &none), PENSTOCK_NOT_FOUND);
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  EXPECT_EQ(m.parts, 1u);
  EXPECT_EQ(m.chars(), "alone");
  EXPECT_EQ(m.part(0).size(), 5u);
}

TEST_F(Sender, EmptyMessagesAreMessages) {
  auto s = client.subscriber("t");
  auto p = client.publisher();
  const uint32_t t = *p->topic("t");
  EXPECT_EQ(p->send(t, ""), PENSTOCK_OK);
  EXPECT_EQ(penstock_send(p->c(), t, nullptr, 0), PENSTOCK_OK);
  pen::Message m;
  for (int i = 0; i < 2; i++) {
    ASSERT_EQ(s->recv(m), PENSTOCK_OK);
    EXPECT_FALSE(m.is_gap());
    EXPECT_EQ(m.len, 0u);
    EXPECT_NE(m.data, nullptr);
  }
}

TEST_F(Sender, StampsWhenAskedTo) {
  auto s = client.subscriber("#");
  auto p = client.publisher({.timestamps = true});
  auto q = client.publisher();
  EXPECT_EQ(p->send(*p->topic("stamped"), "x"), PENSTOCK_OK);
  EXPECT_EQ(q->send(*q->topic("bare"), "x"), PENSTOCK_OK);
  pen::Message m;
  for (int i = 0; i < 2; i++) {
    ASSERT_EQ(s->recv(m), PENSTOCK_OK);
    if (m.topic_name() == "stamped")
      EXPECT_GT(m.time_ns, 1'600'000'000'000'000'000u);
    else
      EXPECT_EQ(m.time_ns, 0u);
  }
}

TEST_F(Sender, PusherWithoutPullerHasNoRoute) {
  auto p = client.pusher();
  const uint32_t t = *p->topic("work");
  EXPECT_EQ(p->send(t, "x"), PENSTOCK_NO_ROUTE);
  EXPECT_EQ(p->loan(10).code(), PENSTOCK_NO_ROUTE);
  EXPECT_EQ(p->send_wait(t, "x", 1'000'000), PENSTOCK_NO_ROUTE);
  EXPECT_EQ(p->stats().no_route, 3u);
  auto puller = client.puller("work");
  EXPECT_EQ(p->send_wait(t, "x", 5'000'000'000), PENSTOCK_OK);
  pen::Message m;
  EXPECT_EQ(puller->recv(m), PENSTOCK_OK);
}

TEST_F(Sender, RangesOfPlainValuesAreBytes) {
  auto s = client.subscriber("t");
  auto p = client.publisher();
  const uint32_t t = *p->topic("t");
  const std::array<float, 3> values{1, 2, 3};
  EXPECT_EQ(p->send(t, values), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, std::vector<uint16_t>(5)), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, std::string("text")), PENSTOCK_OK);
  pen::Message m;
  for (const size_t want : {12u, 10u, 4u}) {
    ASSERT_EQ(s->recv(m), PENSTOCK_OK);
    EXPECT_EQ(m.len, want);
  }
}

// What a closed publisher had sent still arrives.
TEST_F(Sender, CloseLosesNothing) {
  auto s = client.subscriber("t");
  {
    auto p = client.publisher({.name = "brief"});
    const uint32_t t = *p->topic("t");
    for (int i = 0; i < 100; i++)
      ASSERT_EQ(p->send(t, std::to_string(i)), PENSTOCK_OK);
  }
  pen::Message m;
  for (int i = 0; i < 100; i++) {
    ASSERT_EQ(s->recv(m), PENSTOCK_OK);
    EXPECT_EQ(m.chars(), std::to_string(i));
    EXPECT_STREQ(m.publisher, "brief");
  }
  for (int i = 0; i < 100 && s->stats().lanes != 0; i++)
    EXPECT_EQ(s->recv(m, 10'000'000), PENSTOCK_TIMEOUT);
  EXPECT_EQ(s->stats().lanes, 0u);
  for (int i = 0; i < 1000 && node.readers_of("brief") != 0; i++)
    usleep(1000);
  EXPECT_EQ(node.readers_of("brief"), 0u);  // the slot was given back
}

}  // namespace
}  // namespace penstock::test
