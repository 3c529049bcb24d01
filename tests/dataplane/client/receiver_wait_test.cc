#include <chrono>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "dataplane/client/penstock.hpp"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

class ReceiverWait : public ::testing::Test {
 protected:
  MiniNode node;
  pen::Client client = std::move(*pen::Client::attach("tester", node.socket()));
  pen::Client other = std::move(*pen::Client::attach("other", node.socket()));

  // 50 ms: less than the 100 after which the timer in it goes off, whatever else happened.
  static bool readable(int fd, int timeout_ms) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, timeout_ms) == 1;
  }
};

TEST_F(ReceiverWait, MessageWakesASleeper) {
  auto s = client.subscriber("t");
  auto p = other.publisher();
  const uint32_t t = *p->topic("t");
  for (int i = 0; i < 20; i++) {
    std::thread sender([&] {
      usleep(2000);
      EXPECT_EQ(p->send(t, "wake"), PENSTOCK_OK);
    });
    pen::Message m;
    EXPECT_EQ(s->recv(m), PENSTOCK_OK);
    sender.join();
  }
}

TEST_F(ReceiverWait, NewPublisherWakesASleeper) {
  auto s = client.subscriber("t");
  std::thread sender([&] {
    usleep(20'000);
    auto p = other.publisher();
    EXPECT_EQ(p->send(*p->topic("t"), "wake"), PENSTOCK_OK);
  });
  pen::Message m;
  EXPECT_EQ(s->recv(m), PENSTOCK_OK);
  sender.join();
}

TEST_F(ReceiverWait, SleepingCostsNoCpu) {
  auto s = client.subscriber("t");
  auto p = other.publisher();
  ASSERT_TRUE(p->topic("t"));
  pen::Message m;
  rusage before{};
  rusage after{};
  getrusage(RUSAGE_THREAD, &before);
  EXPECT_EQ(s->recv(m, 1'000'000'000), PENSTOCK_TIMEOUT);
  getrusage(RUSAGE_THREAD, &after);
  const auto us = [](const rusage& r) {
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1'000'000 + r.ru_utime.tv_usec +
           r.ru_stime.tv_usec;
  };
  EXPECT_LT(us(after) - us(before), 200'000);
}

TEST_F(ReceiverWait, EventFdTellsOfMessages) {
  auto s = client.subscriber("t");
  auto p = other.publisher();
  const uint32_t t = *p->topic("t");
  const int fd = s->event_fd();
  pen::Message m;
  for (int i = 0; i < 50; i++) {
    int polled = 0;
    while (s->recv(m, 0) == PENSTOCK_OK)
      polled++;
    EXPECT_EQ(polled, i == 0 ? 0 : 3);
    ASSERT_FALSE(readable(fd, 0)) << i;
    for (int k = 0; k < 3; k++)
      ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
    ASSERT_TRUE(readable(fd, 50)) << i;
  }
}

TEST_F(ReceiverWait, EventFdWorksWithPoll) {
  auto s = client.subscriber("t");
  auto p = other.publisher();
  const uint32_t t = *p->topic("t");
  const int fd = s->event_fd();
  for (int i = 0; i < 50; i++) {
    int64_t polled = 0;
    while (const int64_t n = s->poll([](const pen::Message&) {}, 2))
      polled += n;
    EXPECT_EQ(polled, i == 0 ? 0 : 3);
    for (int k = 0; k < 3; k++)
      ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
    ASSERT_TRUE(readable(fd, 50)) << i;
  }
}

TEST_F(ReceiverWait, EventFdIsArmedByARecvThatTimedOut) {
  auto s = client.subscriber("t");
  auto p = other.publisher();
  const uint32_t t = *p->topic("t");
  const int fd = s->event_fd();
  pen::Message m;
  for (int i = 0; i < 5; i++) {
    ASSERT_EQ(s->recv(m, 1'000'000), PENSTOCK_TIMEOUT);
    ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
    ASSERT_TRUE(readable(fd, 50));
    ASSERT_EQ(s->recv(m, 1'000'000), PENSTOCK_OK);
  }
}

TEST_F(ReceiverWait, EventFdTellsOfNewPublishers) {
  auto s = client.subscriber("t");
  const int fd = s->event_fd();
  pen::Message m;
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
  auto p = other.publisher();
  const uint32_t t = *p->topic("t");
  EXPECT_TRUE(readable(fd, 50));
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
  EXPECT_FALSE(readable(fd, 0));
  ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
  EXPECT_TRUE(readable(fd, 50));
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_OK);
}

// The packet that says so is taken from the socket by another call of the same client.
TEST_F(ReceiverWait, EventFdTellsOfNewPublishersWhoeverHeardOfThem) {
  auto s = client.subscriber("t");
  auto mine = client.publisher();
  const int fd = s->event_fd();
  pen::Message m;
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
  auto p = other.publisher();
  const uint32_t t = *p->topic("t");
  ASSERT_TRUE(mine->topic("else"));
  EXPECT_EQ(s->stats().lanes, 1u);
  EXPECT_TRUE(readable(fd, 50));
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
  EXPECT_FALSE(readable(fd, 0));
  ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
  EXPECT_TRUE(readable(fd, 50));
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_OK);
}

// It saw that there is one, but the packet that says whom to wake is on its way still.
TEST_F(ReceiverWait, EventFdTellsOfAMessageFromAPublisherThatKnowsOfNobody) {
  auto p = other.publisher();
  const uint32_t t = *p->topic("t");
  node.withhold_readers();
  auto s = client.subscriber("t");
  const int fd = s->event_fd();
  pen::Message m;
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
  ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
  EXPECT_TRUE(readable(fd, 10'000));
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_OK);
}

TEST_F(ReceiverWait, SleepingOnEventFdCostsNoCpu) {
  auto s = client.subscriber("t");
  auto p = other.publisher();
  ASSERT_TRUE(p->topic("t"));
  const int fd = s->event_fd();
  pen::Message m;
  int looks = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (std::chrono::steady_clock::now() < until) {
    EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
    EXPECT_TRUE(readable(fd, 10'000));
    looks++;
  }
  EXPECT_LE(looks, 6);
}

TEST_F(ReceiverWait, EventFdTellsOfTheNodesEnd) {
  auto s = client.subscriber("t");
  const int fd = s->event_fd();
  pen::Message m;
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
  node.die();
  EXPECT_TRUE(readable(fd, 50));
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_CLOSED);
}

TEST_F(ReceiverWait, PullerIsWokenByTheNode) {
  auto puller = client.puller("work");
  auto p = other.pusher();
  const uint32_t t = *p->topic("work");
  for (int i = 0; i < 20; i++) {
    std::thread sender([&] {
      usleep(2000);
      EXPECT_EQ(p->send_wait(t, "wake"), PENSTOCK_OK);
    });
    pen::Message m;
    EXPECT_EQ(puller->recv(m), PENSTOCK_OK);
    sender.join();
  }
}

// Only unwanted messages for a long time: it neither hangs nor starves.
TEST_F(ReceiverWait, UnwantedMessagesAreWadedThrough) {
  auto s = client.subscriber("wanted");
  auto p = other.publisher({.ring_entries = 4096});
  const uint32_t wanted = *p->topic("wanted");
  const uint32_t other_topic = *p->topic("other");
  for (int i = 0; i < 4000; i++)
    ASSERT_EQ(p->send(other_topic, "x"), PENSTOCK_OK);
  ASSERT_EQ(p->send(wanted, "x"), PENSTOCK_OK);
  pen::Message m;
  EXPECT_EQ(s->recv(m), PENSTOCK_OK);
  EXPECT_EQ(s->stats().skipped, 4000u);
}

}  // namespace
}  // namespace penstock::test
