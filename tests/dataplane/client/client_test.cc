#include <chrono>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <poll.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/client/penstock.hpp"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

TEST(Client, AttachesAndTellsTheNode) {
  MiniNode node;
  auto client = pen::Client::attach("tester", node.socket());
  ASSERT_TRUE(client) << pen::last_error();
  EXPECT_EQ(client->node_id(), MiniNode::kNodeId);
}

TEST(Client, SaysWhereNoNodeAnswers) {
  auto client = pen::Client::attach("tester", "/nowhere/at/all");
  EXPECT_EQ(client.code(), PENSTOCK_NOT_FOUND);
  EXPECT_NE(std::string(pen::last_error()).find("/nowhere/at/all"), std::string::npos);
}

TEST(Client, TakesTheSocketFromTheEnvironment) {
  MiniNode node;
  setenv("PENSTOCK_SOCKET", node.socket(), 1);
  auto client = pen::Client::attach();
  unsetenv("PENSTOCK_SOCKET");
  EXPECT_TRUE(client) << pen::last_error();
}

TEST(Client, RefusesNamesAndPathsThatDontFit) {
  MiniNode node;
  const std::string longest(63, 'n');
  const std::string too_long(64, 'n');
  const std::string path(108, '/');
  EXPECT_TRUE(pen::Client::attach(longest.c_str(), node.socket()));
  EXPECT_EQ(pen::Client::attach(too_long.c_str(), node.socket()).code(), PENSTOCK_INVALID);
  EXPECT_EQ(pen::Client::attach("", node.socket()).code(), PENSTOCK_INVALID);
  EXPECT_EQ(pen::Client::attach("tester", path.c_str()).code(), PENSTOCK_INVALID);
}

TEST(Client, TellsWhyTheNodeRefusedIt) {
  MiniNode node;
  node.answer(attach::Type::kHello, [](Session& s, const Packet& p) {
    s.refuse(p.header().request, static_cast<uint32_t>(Errc::kDenied), "uid 7 may not attach");
  });
  EXPECT_EQ(pen::Client::attach("tester", node.socket()).code(), PENSTOCK_DENIED);
  EXPECT_STREQ(pen::last_error(), "uid 7 may not attach");
}

TEST(Client, RefusesANodeOfAnotherVersion) {
  MiniNode node;
  node.answer(attach::Type::kHello, [](Session& s, const Packet& p) {
    attach::Welcome w;
    w.header.request = p.header().request;
    w.version = 99;
    s.send(w);
  });
  EXPECT_EQ(pen::Client::attach("tester", node.socket()).code(), PENSTOCK_VERSION);
  EXPECT_NE(std::string(pen::last_error()).find("99"), std::string::npos);
}

TEST(Client, GetsAnswersFromTheNode) {
  MiniNode node;
  auto client = pen::Client::attach("tester", node.socket());
  auto answer = client->query("lanes");
  ASSERT_TRUE(answer) << pen::last_error();
  EXPECT_EQ(*answer, "{\"lanes\":0}");
  EXPECT_EQ(client->query("weather").code(), PENSTOCK_NOT_FOUND);
  EXPECT_EQ(client->query(std::string(300, 'q').c_str()).code(), PENSTOCK_INVALID);
}

TEST(Client, SeveralLiveInOneProcess) {
  MiniNode node;
  auto a = pen::Client::attach("a", node.socket());
  auto b = pen::Client::attach("b", node.socket());
  auto subscriber = b->subscriber("t");
  auto publisher = a->publisher();
  const uint32_t t = *publisher->topic("t");
  EXPECT_EQ(publisher->send(t, "hi"), PENSTOCK_OK);
  pen::Message m;
  ASSERT_EQ(subscriber->recv(m), PENSTOCK_OK);
  EXPECT_EQ(m.chars(), "hi");
}

TEST(Client, WhatWasMadeFromItSaysClosedAfterIt) {
  MiniNode node;
  auto client = pen::Client::attach("tester", node.socket());
  auto publisher = client->publisher();
  auto subscriber = client->subscriber("t");
  const uint32_t t = *publisher->topic("t");
  *client = pen::Client();
  pen::Message m;
  EXPECT_EQ(subscriber->recv(m), PENSTOCK_CLOSED);
  EXPECT_EQ(subscriber->poll([](const pen::Message&) {}), -PENSTOCK_CLOSED);
  EXPECT_EQ(publisher->topic("u").code(), PENSTOCK_CLOSED);
  EXPECT_EQ(publisher->send(t, "x"), PENSTOCK_CLOSED);
}

TEST(Client, ChainOfFailuresKeepsTheFirst) {
  auto client = pen::Client::attach("tester", "/nowhere/at/all");
  auto publisher = client->publisher();
  auto topic = publisher->topic("t");
  EXPECT_EQ(topic.code(), PENSTOCK_INVALID);
  EXPECT_NE(std::string(pen::last_error()).find("/nowhere/at/all"), std::string::npos);
}

TEST(Client, NothingIsLeftInTheNodeAfterIt) {
  MiniNode node;
  {
    auto client = pen::Client::attach("tester", node.socket());
    auto publisher = client->publisher({.name = "p"});
    auto subscriber = client->subscriber("t");
    ASSERT_TRUE(publisher->topic("t"));
    EXPECT_EQ(node.readers_of("p"), 1u);
    EXPECT_EQ(node.subscriptions(), 1u);
  }
  for (int i = 0; i < 1000 && node.subscriptions() != 0; i++)
    usleep(1000);
  EXPECT_EQ(node.subscriptions(), 0u);
  EXPECT_EQ(node.readers_of("p"), 0u);
}

TEST(Client, DeadNodeIsClosedForEverybody) {
  MiniNode node;
  auto client = pen::Client::attach("tester", node.socket());
  auto publisher = client->publisher();
  auto subscriber = client->subscriber("t");
  const uint32_t t = *publisher->topic("t");
  EXPECT_EQ(publisher->send(t, "before"), PENSTOCK_OK);
  node.die();
  // What lies in the lanes is still read.
  pen::Message m;
  ASSERT_EQ(subscriber->recv(m), PENSTOCK_OK);
  EXPECT_EQ(m.chars(), "before");
  EXPECT_EQ(subscriber->recv(m), PENSTOCK_CLOSED);
  EXPECT_EQ(subscriber->recv(m, 0), PENSTOCK_CLOSED);
  EXPECT_EQ(publisher->send(t, "after"), PENSTOCK_CLOSED);
  EXPECT_EQ(client->query("lanes").code(), PENSTOCK_CLOSED);
  EXPECT_STREQ(pen::last_error(), "the node went away");
}

TEST(Client, DeadNodeWakesASleeper) {
  MiniNode node;
  auto client = pen::Client::attach("tester", node.socket());
  auto subscriber = client->subscriber("t");
  std::thread killer([&] {
    usleep(50'000);
    node.die();
  });
  pen::Message m;
  EXPECT_EQ(subscriber->recv(m), PENSTOCK_CLOSED);
  killer.join();
}

// A publisher that never blocks learns of it too.
TEST(Client, DeadNodeStopsAPublisherWithoutReaders) {
  MiniNode node;
  auto client = pen::Client::attach("tester", node.socket());
  auto publisher = client->publisher();
  const uint32_t t = *publisher->topic("t");
  for (int i = 0; i < 10'000; i++)
    ASSERT_EQ(publisher->send(t, "x"), PENSTOCK_OK);
  node.die();
  pen::Code code = PENSTOCK_OK;
  const auto start = std::chrono::steady_clock::now();
  while (code == PENSTOCK_OK && std::chrono::steady_clock::now() - start < std::chrono::seconds(20))
    code = publisher->send(t, "x");
  EXPECT_EQ(code, PENSTOCK_CLOSED);
}

TEST(Client, IsNoneOfAForkedChildsBusiness) {
  MiniNode node;
  auto client = pen::Client::attach("tester", node.socket());
  auto publisher = client->publisher();
  auto subscriber = client->subscriber("t");
  const uint32_t t = *publisher->topic("t");
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = client->query("lanes").code() == PENSTOCK_INVALID;
    *publisher = pen::Publisher();
    *subscriber = pen::Subscriber();
    *client = pen::Client();
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(publisher->send(t, "still here"), PENSTOCK_OK);
  pen::Message m;
  EXPECT_EQ(subscriber->recv(m), PENSTOCK_OK);
}

TEST(Client, CodesAndReasonsHaveTexts) {
  EXPECT_STREQ(penstock_text(PENSTOCK_WOULD_BLOCK), "would block");
  EXPECT_STREQ(penstock_text(static_cast<penstock_code>(31)), "unknown error");
  EXPECT_STREQ(penstock_reason_text(1), "overrun");
  EXPECT_STREQ(penstock_reason_text(~0u), "unknown");
}

TEST(Client, NullIsInvalidInSetUpCalls) {
  penstock_sender* s = nullptr;
  penstock_receiver* r = nullptr;
  char* text = nullptr;
  uint32_t id = 0;
  EXPECT_EQ(penstock_publisher(nullptr, nullptr, &s), PENSTOCK_INVALID);
  EXPECT_EQ(penstock_subscriber(nullptr, "t", nullptr, &r), PENSTOCK_INVALID);
  EXPECT_EQ(penstock_query(nullptr, "lanes", &text), PENSTOCK_INVALID);
  EXPECT_EQ(penstock_topic(nullptr, "t", &id), PENSTOCK_INVALID);
  penstock_close(nullptr);
  penstock_sender_close(nullptr);
  penstock_receiver_close(nullptr);
}

}  // namespace
}  // namespace penstock::test
