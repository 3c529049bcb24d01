// Two nodes over the simulator when clients die, peers vanish and nodes restart.
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

TEST(Node, DeadSubscriberHoldsNobodyBack) {
  TwoNodes nodes;
  auto a = attach_to(nodes, 0, "a");
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
  auto b = attach_to(nodes, 1, "b");
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
  auto a = attach_to(nodes, 0, "a");
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
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
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
  // Its lane ended, and nobody there knew with what.
  pen::Message gap;
  ASSERT_EQ(s->recv(gap, kPatienceNs), PENSTOCK_OK);
  EXPECT_EQ(gap.gap_count, PENSTOCK_GAP_UNKNOWN);
  EXPECT_EQ(std::string(gap.gap_reason_text()), "peer_down");
  EXPECT_EQ(gap.position, 10u);
  // It asks again by itself, is told what it missed, and gets what is published from then on.
  bool came = false;
  for (int i = 0; i < 2000 && !came; i++) {
    ASSERT_EQ(p->send_wait(*topic, payload(999, 100), kPatienceNs), PENSTOCK_OK);
    came = s->recv(gap, 10'000'000) == PENSTOCK_OK;
  }
  ASSERT_TRUE(came);
  EXPECT_TRUE(gap.is_gap());
  EXPECT_EQ(std::string(gap.gap_reason_text()), "peer_down");
  EXPECT_EQ(gap.position, 10u);
  ASSERT_EQ(p->send_wait(*topic, payload(999, 100), kPatienceNs), PENSTOCK_OK);
  pen::Message next;
  ASSERT_EQ(s->recv(next, kPatienceNs), PENSTOCK_OK);
  EXPECT_EQ(next.position, gap.position + gap.gap_count);
  expect_identity(nodes);
}

TEST(Node, FencesThePeersEarlierLife) {
  TwoNodes nodes;
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto p = a.publisher();
  const auto topic = p->topic("x");
  {
    auto b = attach_to(nodes, 1, "b");
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
  auto b = attach_to(nodes, 1, "b again");
  auto s = b.subscriber("x");
  ASSERT_TRUE(s) << pen::last_error();
  std::thread sender([&] { send_all(*p, *topic, 200); });
  expect_all(*s, 200);
  sender.join();
  EXPECT_EQ(nlohmann::json::parse(nodes.show(0, "links"))[0]["peer_epoch"], 2);
}

}  // namespace
}  // namespace penstock
