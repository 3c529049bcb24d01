// Clients in processes of their own, some of which are killed.
#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/client/penstock.hpp"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

pid_t in_child(const std::function<int()>& what) {
  const pid_t pid = fork();
  if (pid == 0) _exit(what());
  return pid;
}

int status_of(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  return status;
}

// Receives 0, 1, 2, ... up to `n`, in messages of 8 bytes.
int expect_numbers(const char* socket, uint64_t n) {
  auto client = pen::Client::attach("child", socket);
  auto subscriber = client->subscriber("numbers");
  if (!subscriber) return 1;
  pen::Message m;
  for (uint64_t i = 0; i < n; i++) {
    if (subscriber->recv(m, 20'000'000'000) != PENSTOCK_OK) return 2;
    if (m.len != 8 || *static_cast<const uint64_t*>(m.data) != i) return 3;
  }
  return 0;
}

TEST(Processes, EveryOneOfThemGetsEverything) {
  constexpr uint64_t kMessages = 50'000;
  MiniNode node;
  const pid_t children[] = {in_child([&] { return expect_numbers(node.socket(), kMessages); }),
                            in_child([&] { return expect_numbers(node.socket(), kMessages); })};
  while (node.subscriptions() < 2)
    usleep(1000);
  auto client = pen::Client::attach("parent", node.socket());
  auto publisher = client->publisher({.name = "counter"});
  const uint32_t t = *publisher->topic("numbers");
  for (uint64_t i = 0; i < kMessages; i++)
    ASSERT_EQ(publisher->send_wait(t, std::span(&i, 1), 20'000'000'000), PENSTOCK_OK);
  for (const pid_t child : children)
    EXPECT_EQ(status_of(child), 0);
}

TEST(Processes, KilledSubscriberHoldsNobodyBack) {
  MiniNode node;
  const pid_t child = in_child([&] { return expect_numbers(node.socket(), ~uint64_t{0}); });
  while (node.subscriptions() < 1)
    usleep(1000);
  auto client = pen::Client::attach("parent", node.socket());
  auto publisher = client->publisher({.name = "counter", .ring_entries = 16});
  const uint32_t t = *publisher->topic("numbers");
  for (uint64_t i = 0; i < 1000; i++)
    ASSERT_EQ(publisher->send_wait(t, std::span(&i, 1), 20'000'000'000), PENSTOCK_OK);
  kill(child, SIGSTOP);
  uint64_t i = 1000;
  while (publisher->send(t, std::span(&i, 1)) == PENSTOCK_OK)
    i++;
  EXPECT_LE(i, 1000u + 16u);
  kill(child, SIGKILL);
  EXPECT_NE(status_of(child), 0);
  EXPECT_EQ(publisher->send_wait(t, std::span(&i, 1), 20'000'000'000), PENSTOCK_OK);
  EXPECT_EQ(publisher->stats().readers, 0u);
}

TEST(Processes, WhatAKilledPublisherSentIsRead) {
  MiniNode node;
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const pid_t child = in_child([&] {
    auto client = pen::Client::attach("child", node.socket());
    auto publisher = client->publisher({.name = "doomed"});
    const uint32_t t = *publisher->topic("numbers");
    for (uint64_t i = 0; i < 100; i++)
      if (publisher->send(t, std::span(&i, 1)) != PENSTOCK_OK) return 1;
    [[maybe_unused]] const auto room = publisher->loan(100);  // dies inside of a message
    if (write(go[1], "x", 1) != 1) return 1;
    pause();
    return 0;
  });
  auto client = pen::Client::attach("parent", node.socket());
  // Subscribed too late for the first one, it may get the rest, but never half a message.
  char c = 0;
  ASSERT_EQ(read(go[0], &c, 1), 1);
  auto subscriber = client->subscriber("numbers");
  kill(child, SIGKILL);
  EXPECT_NE(status_of(child), 0);
  pen::Message m;
  pen::Code code = PENSTOCK_OK;
  for (int i = 0; i < 1000 && subscriber->stats().lanes != 0; i++)
    code = subscriber->recv(m, 10'000'000);
  EXPECT_EQ(code, PENSTOCK_TIMEOUT);
  EXPECT_EQ(subscriber->stats().lanes, 0u);
  close(go[0]);
  close(go[1]);
}

}  // namespace
}  // namespace penstock::test
