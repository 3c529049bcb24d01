// Two nodes over the simulator, and the true client library on both.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "dataplane/client/penstock.hpp"
#include "tests/support/two_nodes.h"

namespace penstock {
namespace {

constexpr int64_t kPatienceNs = 20'000'000'000;  // a bound for a busy machine, never a measure

pen::Client attach(const TwoNodes& nodes, int side, const char* name) {
  auto c = pen::Client::attach(name, nodes.socket(side).c_str());
  EXPECT_TRUE(c) << pen::last_error();
  return c ? std::move(*c) : pen::Client();
}

std::string payload(uint32_t n, size_t size) {
  std::string s = std::to_string(n) + ":";
  s.resize(std::max(size, s.size()), static_cast<char>('a' + n % 26));
  return s;
}

// Waits until the links are up both ways, so that "present" peers are.
void wait_up(TwoNodes& nodes) {
  for (int i = 0; i < 2000; i++) {
    bool up = true;
    for (int side = 0; side < 2; side++)
      for (const auto& l : nlohmann::json::parse(nodes.show(side, "links")))
        up = up && l["state"] == "up";
    if (up) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL() << "the links did not come up: " << nodes.show(0, "links");
}

void send_all(pen::Sender& sender, uint32_t topic, uint32_t count, size_t size = 100) {
  for (uint32_t i = 0; i < count; i++)
    ASSERT_EQ(sender.send_wait(topic, payload(i, size), kPatienceNs), PENSTOCK_OK) << i;
}

// The next messages are 0 .. count - 1, whole.
void expect_all(pen::Receiver& receiver, uint32_t count, size_t size = 100, uint32_t from = 0) {
  for (uint32_t i = from; i < count; i++) {
    pen::Message m;
    ASSERT_EQ(receiver.recv(m, kPatienceNs), PENSTOCK_OK)
        << "message " << i << TwoNodes::latest->describe();
    ASSERT_FALSE(m.is_gap()) << "at " << i << ": " << m.gap_count << " " << m.gap_reason_text();
    ASSERT_EQ(m.chars(), payload(i, size)) << i;
  }
}

void expect_nothing(pen::Receiver& receiver) {
  pen::Message m;
  EXPECT_EQ(receiver.recv(m, 50'000'000), PENSTOCK_TIMEOUT);
}

// sent = delivered + dropped + in flight, for every reader that there is and every one that was.
void expect_identity(TwoNodes& nodes) {
  for (int side = 0; side < 2; side++) {
    for (const auto& lane : nlohmann::json::parse(nodes.show(side, "lanes"))) {
      auto rows = lane["readers"];
      auto left = lane["left"];
      left["in_flight"] = 0;
      rows.push_back(left);
      for (const auto& r : rows) {
        uint64_t sum = r["delivered"].get<uint64_t>() + r["in_flight"].get<uint64_t>();
        for (const auto& [why, n] : r["dropped"].items())
          sum += n.get<uint64_t>();
        EXPECT_EQ(r["sent"].get<uint64_t>(), sum) << lane.dump();
      }
    }
  }
}

TEST(Node, DeliversOnOneHost) {
  TwoNodes nodes;
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 0, "b");  // a client belongs to one thread
  auto s = b.subscriber("x.*");
  ASSERT_TRUE(s) << pen::last_error();
  auto p = a.publisher();
  ASSERT_TRUE(p);
  const auto topic = p->topic("x.y");
  const auto other = p->topic("z");
  ASSERT_TRUE(topic && other);
  ASSERT_EQ(p->send(*other, "not for x"), PENSTOCK_OK);
  std::thread sender([&] { send_all(*p, *topic, 500); });
  expect_all(*s, 500);
  sender.join();
  expect_identity(nodes);
}

TEST(Node, PublishesAcross) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto p = a.publisher();
  const auto topic = p->topic("w.layer1");
  ASSERT_EQ(p->send(*topic, "before anybody subscribed"), PENSTOCK_OK);
  auto s = b.subscriber("w.#");
  ASSERT_TRUE(s) << pen::last_error();
  std::thread sender([&] { send_all(*p, *topic, 2000, 3000); });
  expect_all(*s, 2000, 3000);
  sender.join();
  expect_nothing(*s);
  expect_identity(nodes);
}

TEST(Node, JoinsATopicThatComesLater) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto s = b.subscriber("w.#");
  auto p = a.publisher();
  const auto first = p->topic("w.1");
  send_all(*p, *first, 20);
  expect_all(*s, 20);
  const auto skipped = p->topic("other");
  const auto second = p->topic("w.2");
  send_all(*p, *skipped, 20);
  send_all(*p, *second, 20);
  expect_all(*s, 20);
  expect_identity(nodes);
}

TEST(Node, PushesAcrossToExactlyOne) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto q1 = b.puller("job.#");
  auto q2 = b.puller("job.#");
  ASSERT_TRUE(q1 && q2) << pen::last_error();
  auto p = a.pusher();
  const auto topic = p->topic("job.x");
  std::thread sender([&] { send_all(*p, *topic, 1000); });
  std::set<std::string> got;
  size_t each[2] = {0, 0};
  pen::Puller* pullers[2] = {&*q1, &*q2};
  for (int spin = 0; got.size() < 1000 && spin < 200'000; spin++) {
    pen::Message m;
    for (int k = 0; k < 2; k++) {
      while (pullers[k]->recv(m, 100'000) == PENSTOCK_OK) {
        EXPECT_TRUE(got.insert(std::string(m.chars())).second) << "twice: " << m.chars();
        each[k]++;
      }
    }
  }
  sender.join();
  EXPECT_EQ(got.size(), 1000u);
  EXPECT_GT(each[0], 100u) << "the work is shared";
  EXPECT_GT(each[1], 100u);
}

// The last ones too, after which nothing happens that would make the source look again.
TEST(Node, WhatWasPushedAcrossIsLetGoOf) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto q = b.puller("job.#");
  auto p = a.pusher();
  const auto topic = p->topic("job.x");
  send_all(*p, *topic, 20);
  expect_all(*q, 20);
  q->release();
  uint64_t in_flight = 1;
  for (int i = 0; i < 2000 && in_flight != 0; i++) {
    in_flight = 0;
    for (const auto& lane : nlohmann::json::parse(nodes.show(0, "lanes")))
      for (const auto& r : lane["readers"])
        in_flight += r["in_flight"].get<uint64_t>();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(in_flight, 0u) << nodes.show(0, "lanes");
}

TEST(Node, PusherWithoutPullerHasNoRoute) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto p = a.pusher();
  const auto topic = p->topic("job.x");
  EXPECT_EQ(p->send(*topic, "nobody"), PENSTOCK_NO_ROUTE);
  auto b = attach(nodes, 1, "b");
  auto q = b.puller("job.#");
  ASSERT_TRUE(q);
  EXPECT_EQ(p->send_wait(*topic, payload(0, 10), kPatienceNs), PENSTOCK_OK);
  expect_all(*q, 1, 10);
}

TEST(Node, GivesOneMessageToMembersHereAndThereOnce) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto c = attach(nodes, 0, "c");
  auto here = c.puller("job.#");
  auto there = b.puller("job.#");
  auto p = a.pusher();
  const auto topic = p->topic("job.x");
  std::thread sender([&] { send_all(*p, *topic, 500); });
  std::set<std::string> got;
  for (int spin = 0; got.size() < 500 && spin < 200'000; spin++) {
    pen::Message m;
    for (pen::Puller* q : {&*here, &*there})
      while (q->recv(m, 100'000) == PENSTOCK_OK)
        EXPECT_TRUE(got.insert(std::string(m.chars())).second) << "twice: " << m.chars();
  }
  sender.join();
  EXPECT_EQ(got.size(), 500u);
}

TEST(Node, LosesNothingOverABadNet) {
  TwoNodes nodes({.seed = 11});
  wait_up(nodes);
  nodes.set_faults({.lose = 100'000,
                    .duplicate = 50'000,
                    .damage = 20'000,
                    .reorder = 50'000,
                    .delay_ns = 20'000});
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto c = attach(nodes, 1, "c");
  auto s = b.subscriber("w");
  auto q = c.puller("g");
  ASSERT_TRUE(s && q) << pen::last_error();
  auto p = a.publisher();
  auto push = a.pusher();
  const auto w = p->topic("w");
  const auto g = push->topic("g");
  std::thread sender([&] {
    for (uint32_t i = 0; i < 400; i++) {
      ASSERT_EQ(p->send_wait(*w, payload(i, 20'000), kPatienceNs), PENSTOCK_OK);
      ASSERT_EQ(push->send_wait(*g, payload(i, 300), kPatienceNs), PENSTOCK_OK);
    }
  });
  std::thread puller([&] { expect_all(*q, 400, 300); });
  expect_all(*s, 400, 20'000);
  sender.join();
  puller.join();
  expect_identity(nodes);
}

TEST(Node, DeadSubscriberHoldsNobodyBack) {
  TwoNodes nodes;
  auto a = attach(nodes, 0, "a");
  auto p = a.publisher();
  const auto topic = p->topic("x");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto c = pen::Client::attach("victim", nodes.socket(0).c_str());
    auto s = c->subscriber("x");
    const char ok = s ? 'y' : 'n';
    [[maybe_unused]] const auto n = write(ready[1], &ok, 1);
    pause();  // reads nothing, until it is killed
    _exit(0);
  }
  char ok = 'n';
  ASSERT_EQ(read(ready[0], &ok, 1), 1);
  ASSERT_EQ(ok, 'y');
  uint32_t sent = 0;
  while (p->send(*topic, payload(sent, 1000)) == PENSTOCK_OK)
    sent++;
  EXPECT_LE(sent, 64u) << "a reliable reader that does not read holds the publisher";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  send_all(*p, *topic, 500);
  const auto lanes = nlohmann::json::parse(nodes.show(0, "lanes"));
  EXPECT_EQ(lanes[0]["left"]["dropped"]["reader_died"].get<uint32_t>(), sent) << lanes.dump();
  expect_identity(nodes);
  close(ready[0]);
  close(ready[1]);
}

TEST(Node, SubscriberGetsWhatADeadPublisherFinished) {
  TwoNodes nodes;
  wait_up(nodes);
  auto b = attach(nodes, 1, "b");
  auto s = b.subscriber("x");
  const pid_t child = fork();
  if (child == 0) {
    auto c = pen::Client::attach("victim", nodes.socket(0).c_str());
    auto p = c->publisher();
    const auto topic = p->topic("x");
    for (uint32_t i = 0; i < 40; i++)
      if (p->send(*topic, payload(i, 100)) != PENSTOCK_OK) _exit(1);
    (void)p->loan(1000);  // dies inside a message
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  expect_all(*s, 40);
  expect_nothing(*s);
  for (int i = 0; i < 1000 && nodes.show(0, "lanes") + nodes.show(1, "lanes") != "[][]"; i++) {
    pen::Message m;
    (void)s->recv(m, 1'000'000);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(nodes.show(0, "lanes") + nodes.show(1, "lanes"), "[][]") << "lane and mirror are freed";
}

TEST(Node, WorkOfADeadPullerGoesToTheOthers) {
  TwoNodes nodes;
  auto a = attach(nodes, 0, "a");
  auto q = a.puller("job");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto c = pen::Client::attach("victim", nodes.socket(0).c_str());
    auto victim = c->puller("job");
    const char ok = victim ? 'y' : 'n';
    [[maybe_unused]] const auto n = write(ready[1], &ok, 1);
    pause();
    _exit(0);
  }
  char ok = 'n';
  ASSERT_EQ(read(ready[0], &ok, 1), 1);
  auto p = a.pusher();
  const auto topic = p->topic("job");
  send_all(*p, *topic, 60);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  std::set<std::string> got;
  pen::Message m;
  while (got.size() < 60 && q->recv(m, kPatienceNs) == PENSTOCK_OK)
    EXPECT_TRUE(got.insert(std::string(m.chars())).second) << "twice: " << m.chars();
  EXPECT_EQ(got.size(), 60u) << "what the dead member had not taken was taken by the other";
  close(ready[0]);
  close(ready[1]);
}

TEST(Node, CountsWhatAPeerThatVanishedNeverGot) {
  TwoNodes nodes({.dead_after_ns = 500'000'000});
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto s = b.subscriber("x");
  auto p = a.publisher();
  const auto topic = p->topic("x");
  send_all(*p, *topic, 10);
  expect_all(*s, 10);
  const auto acknowledged = [&] {
    return nlohmann::json::parse(nodes.show(0, "lanes"))[0]["readers"][0]["delivered"] == 10;
  };
  for (int i = 0; i < 1000 && !acknowledged(); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(acknowledged());
  nodes.set_faults({.cut = true});
  uint32_t sent = 10;
  while (p->send(*topic, payload(sent, 100)) == PENSTOCK_OK)
    sent++;
  // The publisher is held back until the peer is missed, then goes on without it.
  ASSERT_EQ(p->send_wait(*topic, payload(sent, 100), kPatienceNs), PENSTOCK_OK);
  const auto lane = nlohmann::json::parse(nodes.show(0, "lanes"))[0];
  EXPECT_EQ(lane["left"]["dropped"]["peer_down"].get<uint32_t>(), sent - 10) << lane.dump();
  expect_identity(nodes);
  nodes.set_faults({});
  wait_up(nodes);
  // It asks again by itself, and gets what is published from then on.
  pen::Message m;
  bool came = false;
  for (int i = 0; i < 2000 && !came; i++) {
    ASSERT_EQ(p->send_wait(*topic, payload(999, 100), kPatienceNs), PENSTOCK_OK);
    came = s->recv(m, 10'000'000) == PENSTOCK_OK;
  }
  EXPECT_TRUE(came);
}

TEST(Node, FencesThePeersEarlierLife) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto p = a.publisher();
  const auto topic = p->topic("x");
  {
    auto b = attach(nodes, 1, "b");
    auto s = b.subscriber("x");
    send_all(*p, *topic, 10);
    expect_all(*s, 10);
    nodes.restart(1, 2);
    pen::Message m;
    while (s->recv(m, kPatienceNs) == PENSTOCK_OK) {
    }
    EXPECT_EQ(s->recv(m, kPatienceNs), PENSTOCK_CLOSED) << "its node is gone";
  }
  wait_up(nodes);
  auto b = attach(nodes, 1, "b again");
  auto s = b.subscriber("x");
  ASSERT_TRUE(s) << pen::last_error();
  std::thread sender([&] { send_all(*p, *topic, 200); });
  expect_all(*s, 200);
  sender.join();
  EXPECT_EQ(nlohmann::json::parse(nodes.show(0, "links"))[0]["peer_epoch"], 2);
}

TEST(Node, RunsOnTwoWorkers) {
  TwoNodes nodes({.seed = 3, .workers = 2});
  wait_up(nodes);
  auto a = attach(nodes, 0, "a");
  auto b = attach(nodes, 1, "b");
  auto c = attach(nodes, 1, "c");
  auto s = b.subscriber("t.#");
  auto q = c.puller("g.*");
  std::vector<pen::Publisher> publishers;
  std::vector<uint32_t> topics;
  for (int i = 0; i < 4; i++) {
    auto p = a.publisher();
    ASSERT_TRUE(p);
    topics.push_back(*p->topic("t." + std::to_string(i)));
    publishers.push_back(std::move(*p));
  }
  auto push = a.pusher();
  const auto g = push->topic("g.x");
  std::thread sender([&] {
    for (uint32_t i = 0; i < 200; i++) {
      for (int k = 0; k < 4; k++)
        ASSERT_EQ(publishers[k].send_wait(topics[k], payload(i, 500), kPatienceNs), PENSTOCK_OK);
      ASSERT_EQ(push->send_wait(*g, payload(i, 500), kPatienceNs), PENSTOCK_OK);
    }
  });
  std::thread puller([&] { expect_all(*q, 200, 500); });
  std::map<std::string, uint32_t> next;
  for (int n = 0; n < 800 && !HasFatalFailure(); n++) {
    pen::Message m;
    ASSERT_EQ(s->recv(m, kPatienceNs), PENSTOCK_OK) << n << nodes.describe();
    ASSERT_EQ(m.chars(), payload(next[std::string(m.topic_name())]++, 500));
  }
  sender.join();
  puller.join();
  std::set<int> used;
  for (const auto& lane : nlohmann::json::parse(nodes.show(0, "lanes")))
    used.insert(lane["worker"].get<int>());
  EXPECT_EQ(used.size(), 2u) << "lanes are spread over both workers";
  expect_identity(nodes);
}

}  // namespace
}  // namespace penstock
