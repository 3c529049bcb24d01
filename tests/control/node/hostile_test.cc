// A client that keeps no rule: the node cuts it off and goes on serving the others.
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/client/attach_protocol.h"
#include "dataplane/client/penstock.hpp"
#include "tests/fuzz/messages.h"
#include "tests/support/two_nodes.h"

namespace penstock {
namespace {

Fd connect_to(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  std::memcpy(a.sun_path, path.data(), path.size());
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  timeval patience{.tv_sec = 20, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// The node hangs up (0), or refuses and then hangs up.
bool hung_up(int fd) {
  char buffer[attach::kMaxPacket];
  ssize_t n = 0;
  while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0) {
  }
  return n == 0 || errno == ECONNRESET;
}

// An honest client is still served.
void expect_service(TwoNodes& nodes) {
  auto c = pen::Client::attach("honest", nodes.socket(0).c_str());
  ASSERT_TRUE(c) << pen::last_error();
  auto s = c->subscriber("ok");
  auto p = c->publisher();
  ASSERT_TRUE(s && p) << pen::last_error();
  const auto topic = p->topic("ok");
  ASSERT_EQ(p->send(*topic, "fine"), PENSTOCK_OK);
  pen::Message m;
  ASSERT_EQ(s->recv(m, 20'000'000'000), PENSTOCK_OK);
  EXPECT_EQ(m.chars(), "fine");
}

TEST(Hostile, GarbageIsCutOff) {
  TwoNodes nodes;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    std::mt19937_64 random(seed);
    const Fd fd = connect_to(nodes.socket(0));
    std::vector<uint8_t> bytes(1 + random() % 600);
    for (auto& b : bytes)
      b = static_cast<uint8_t>(random());
    ASSERT_GT(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    EXPECT_TRUE(hung_up(fd.get())) << "seed " << seed;
  }
  expect_service(nodes);
}

// Well-formed packets with wild contents after a correct hello, in any order.
TEST(Hostile, WildRequestsHurtNobody) {
  TwoNodes nodes;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    std::mt19937_64 random(seed);
    const Fd fd = connect_to(nodes.socket(0));
    attach::Hello hello;
    hello.header.request = 1;
    std::strcpy(hello.name, "wild");
    ASSERT_GT(::send(fd.get(), &hello, sizeof hello, MSG_NOSIGNAL), 0);
    attach::Mapped mapped;
    ASSERT_GT(::send(fd.get(), &mapped, sizeof mapped, MSG_NOSIGNAL), 0);
    for (int i = 0; i < 20; i++) {
      test::ClientMessages::with(random(), [&](auto m) {
        for (std::byte& b : test::contents(m))
          if (random() % 4 == 0) b = static_cast<std::byte>(random());
        (void)::send(fd.get(), &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT);
      });
    }
  }
  expect_service(nodes);
}

TEST(Hostile, AnotherVersionIsToldWhatToDo) {
  TwoNodes nodes;
  const Fd fd = connect_to(nodes.socket(0));
  attach::Hello hello;
  hello.version = 77;
  hello.header.request = 5;
  ASSERT_GT(::send(fd.get(), &hello, sizeof hello, MSG_NOSIGNAL), 0);
  attach::Error e;
  ASSERT_EQ(recv(fd.get(), &e, sizeof e, 0), static_cast<ssize_t>(sizeof e));
  EXPECT_EQ(e.header.request, 5u);
  EXPECT_EQ(static_cast<Errc>(e.code), Errc::kVersion);
  EXPECT_NE(std::string(e.text).find("77"), std::string::npos);
}

// Names and questions are bytes; the answer is JSON all the same.
TEST(Hostile, WhatIsNoUtf8IsAnsweredWithTheRest) {
  TwoNodes nodes;
  auto c = pen::Client::attach("\xff\xc0 name", nodes.socket(0).c_str());
  ASSERT_TRUE(c) << pen::last_error();
  const auto error = c->query("\xfe\x80");
  ASSERT_TRUE(error) << pen::last_error();
  EXPECT_NE(error->find("unknown query"), std::string::npos);
  const auto clients = c->query("clients");
  ASSERT_TRUE(clients) << pen::last_error();
  EXPECT_NE(clients->find(" name"), std::string::npos);
  expect_service(nodes);
}

// It asks and asks and never reads an answer.
TEST(Hostile, WhoNeverReadsIsCutOff) {
  TwoNodes nodes;
  const Fd fd = connect_to(nodes.socket(0));
  attach::Hello hello;
  ASSERT_GT(::send(fd.get(), &hello, sizeof hello, MSG_NOSIGNAL), 0);
  attach::Mapped mapped;
  ASSERT_GT(::send(fd.get(), &mapped, sizeof mapped, MSG_NOSIGNAL), 0);
  attach::Unsubscribe nonsense;
  bool cut = false;
  for (int i = 0; i < 200'000 && !cut; i++)
    cut = ::send(fd.get(), &nonsense, sizeof nonsense, MSG_NOSIGNAL) < 0;
  EXPECT_TRUE(cut);
  expect_service(nodes);
}

// A client cannot take more than its share.
TEST(Hostile, QuotasNameTheLimit) {
  TwoNodes nodes;
  auto c = pen::Client::attach("greedy", nodes.socket(0).c_str());
  ASSERT_TRUE(c);
  std::vector<pen::Subscriber> all;
  penstock_code code = PENSTOCK_OK;
  for (int i = 0; i < 400 && code == PENSTOCK_OK; i++) {
    auto s = c->subscriber(("f" + std::to_string(i)).c_str());
    code = s.code();
    if (s) all.push_back(std::move(*s));
  }
  EXPECT_EQ(code, PENSTOCK_FULL);
  EXPECT_NE(std::string(pen::last_error()).find("256"), std::string::npos) << pen::last_error();
}

}  // namespace
}  // namespace penstock
