// Two nodes over the simulator, and the true client library on both.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "tests/control/node/node_rig.h"

namespace penstock {
namespace {

TEST(Node, DeliversOnOneHost) {
  TwoNodes nodes;
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 0, "b");  // a client belongs to one thread
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
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
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

TEST(Node, CopiesWhatTheDeviceCannotBeShown) {
  TwoNodes nodes({.maps = false});
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
  auto p = a.publisher();
  const auto topic = p->topic("w.layer1");
  auto s = b.subscriber("w.#");
  std::thread sender([&] { send_all(*p, *topic, 200, 3000); });
  expect_all(*s, 200, 3000);
  sender.join();
  const auto ports = nlohmann::json::parse(nodes.show(0, "ports"));
  EXPECT_GE(ports[0]["tx_linearized"], 200);
  EXPECT_EQ(ports[0]["zero_copy"], false);
  EXPECT_EQ(std::ranges::count_if(nodes.log(),
                                  [](const std::string& line) {
                                    return line.starts_with("port sim: the device cannot read");
                                  }),
            2);  // once each of the two
}

TEST(Node, JoinsATopicThatComesLater) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
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
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
  auto q1 = b.puller("job.#");
  auto q2 = b.puller("job.#");
  ASSERT_TRUE(q1 && q2) << pen::last_error();
  auto p = a.pusher();
  const auto topic = p->topic("job.x");
  std::thread sender([&] { send_all(*p, *topic, 1000); });
  std::set<std::string> got;
  size_t each[2] = {0, 0};
  pen::Puller* pullers[2] = {&*q1, &*q2};
  // One at a time from each: who is always ready while the other waits may well get all.
  for (int spin = 0; got.size() < 1000 && spin < 200'000; spin++) {
    pen::Message m;
    for (int k = 0; k < 2; k++) {
      if (pullers[k]->recv(m, 100'000) != PENSTOCK_OK) continue;
      EXPECT_TRUE(got.insert(std::string(m.chars())).second) << "twice: " << m.chars();
      each[k]++;
    }
  }
  sender.join();
  EXPECT_EQ(got.size(), 1000u);
  EXPECT_GT(each[0], 100u) << "the work is shared";
  EXPECT_GT(each[1], 100u);
}

// A pusher with many topics, whose messages wait for the group: none is passed over while the group
// learns of one topic after the other.
TEST(Node, NothingIsPassedOverWhenAPullerComes) {
  TwoNodes nodes;
  wait_up(nodes);
  for (int round = 0; round < 10; round++) {
    auto a = attach_to(nodes, 0, "a");
    auto b = attach_to(nodes, round % 2, "b");
    const std::string prefix = "round" + std::to_string(round);
    auto p = a.pusher();
    std::vector<uint32_t> topics;
    for (int t = 0; t < 16; t++)
      topics.push_back(*p->topic(prefix + ".t" + std::to_string(t)));
    std::thread sender([&] { send_all(*p, topics.back(), 50); });
    auto q = b.puller((prefix + ".#").c_str());
    ASSERT_TRUE(q) << pen::last_error();
    expect_all(*q, 50);
    sender.join();
  }
}

// The last ones too, after which nothing happens that would make the source look again.
TEST(Node, WhatWasPushedAcrossIsLetGoOf) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
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
  auto a = attach_to(nodes, 0, "a");
  auto p = a.pusher();
  const auto topic = p->topic("job.x");
  EXPECT_EQ(p->send(*topic, "nobody"), PENSTOCK_NO_ROUTE);
  auto b = attach_to(nodes, 1, "b");
  auto q = b.puller("job.#");
  ASSERT_TRUE(q);
  EXPECT_EQ(p->send_wait(*topic, payload(0, 10), kPatienceNs), PENSTOCK_OK);
  expect_all(*q, 1, 10);
}

TEST(Node, GivesOneMessageToMembersHereAndThereOnce) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
  auto c = attach_to(nodes, 0, "c");
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
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
  auto c = attach_to(nodes, 1, "c");
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

TEST(Node, RunsOnTwoWorkers) {
  TwoNodes nodes({.seed = 3, .workers = 2});
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
  auto c = attach_to(nodes, 1, "c");
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
