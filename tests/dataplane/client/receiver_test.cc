#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "dataplane/client/penstock.hpp"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

class Receiver : public ::testing::Test {
 protected:
  MiniNode node;
  pen::Client client = std::move(*pen::Client::attach("tester", node.socket()));
};

TEST_F(Receiver, GetsWhatItsFilterWants) {
  auto s = client.subscriber("grad.*.w");
  auto p = client.publisher({.name = "trainer"});
  const uint32_t want = *p->topic("grad.1.w");
  const uint32_t other = *p->topic("loss");
  for (int i = 0; i < 1000; i++) {
    ASSERT_EQ(p->send_wait(other, "no"), PENSTOCK_OK);
    ASSERT_EQ(p->send_wait(want, std::to_string(i), -1, 5), PENSTOCK_OK);
    pen::Message m;
    ASSERT_EQ(s->recv(m), PENSTOCK_OK);
    ASSERT_EQ(m.chars(), std::to_string(i));
    ASSERT_EQ(m.topic_name(), "grad.1.w");
    ASSERT_STREQ(m.topic, "grad.1.w");
    ASSERT_EQ(m.position, static_cast<uint64_t>(2 * i + 1));
    ASSERT_EQ(m.key, 5u);
    ASSERT_EQ(m.origin_node, MiniNode::kNodeId);
    ASSERT_STREQ(m.publisher, "trainer");
  }
  EXPECT_EQ(s->stats().delivered, 1000u);
  EXPECT_EQ(s->stats().skipped, 1000u);
}

TEST_F(Receiver, RefusesWhatIsNoFilter) {
  for (const char* bad : {"", "a..b", "a*", "a.", "b c"})
    EXPECT_EQ(client.subscriber(bad).code(), PENSTOCK_BAD_TOPIC) << bad;
  EXPECT_TRUE(client.subscriber("#"));
}

TEST_F(Receiver, TimesOutWhenNothingComes) {
  auto s = client.subscriber("t");
  pen::Message m;
  EXPECT_EQ(s->recv(m, 0), PENSTOCK_TIMEOUT);
  EXPECT_EQ(s->recv(m, 20'000'000), PENSTOCK_TIMEOUT);
  EXPECT_EQ(s->poll([](const pen::Message&) {}), 0);
}

TEST_F(Receiver, JoinsPublishersThatComeLater) {
  auto s = client.subscriber("t");
  auto other = std::move(*pen::Client::attach("other", node.socket()));
  for (int i = 0; i < 5; i++) {
    auto p = other.publisher();
    const uint32_t t = *p->topic("t");
    ASSERT_EQ(p->send(t, "hi"), PENSTOCK_OK);
    pen::Message m;
    ASSERT_EQ(s->recv(m), PENSTOCK_OK);
    EXPECT_EQ(m.chars(), "hi");
  }
}

TEST_F(Receiver, BusyPublisherDoesNotHideAQuietOne) {
  auto s = client.subscriber("t");
  auto busy = client.publisher({.name = "busy", .ring_entries = 1024});
  auto quiet = client.publisher({.name = "quiet"});
  const uint32_t b = *busy->topic("t");
  const uint32_t q = *quiet->topic("t");
  for (int i = 0; i < 1000; i++)
    ASSERT_EQ(busy->send(b, "x"), PENSTOCK_OK);
  ASSERT_EQ(quiet->send(q, "x"), PENSTOCK_OK);
  int before = 0;
  pen::Message m;
  for (;;) {
    ASSERT_EQ(s->recv(m, 0), PENSTOCK_OK);
    if (std::string_view(m.publisher) == "quiet") break;
    before++;
  }
  EXPECT_LE(before, 16);
}

// It polled fast, and does so now and then from here on.
TEST_F(Receiver, SlowPollerHearsOfANewPublisherAtOnce) {
  auto s = client.subscriber("t");
  auto other = std::move(*pen::Client::attach("other", node.socket()));
  for (int i = 0; i < 200'000; i++)
    EXPECT_EQ(s->poll([](const pen::Message&) {}), 0);
  auto p = other.publisher();
  ASSERT_EQ(p->send(*p->topic("t"), "x"), PENSTOCK_OK);
  int polls = 0;
  do {
    usleep(5000);
    polls++;
  } while (s->poll([](const pen::Message&) {}) == 0 && polls < 1000);
  EXPECT_LE(polls, 4);
}

// One publisher is always ahead: others come and go all the same, by recv and by poll.
class BusyReceiver : public Receiver, public ::testing::WithParamInterface<bool> {
 protected:
  // Reads a little, writes more; false when `done` did not come true in a while.
  bool until(pen::Subscriber& s, pen::Publisher& ahead, const std::function<bool()>& done) {
    const uint32_t t = *ahead.topic("t");
    for (int i = 0; i < 20'000 && !done(); i++) {
      while (ahead.send(t, "x") == PENSTOCK_OK) {
      }
      pen::Message m;
      if (GetParam())
        EXPECT_GT(s.poll([&](const pen::Message& got) { note(got); }, 8), 0);
      else if (s.recv(m, 0) == PENSTOCK_OK)
        note(m);
      if (i % 64 == 0) usleep(1000);
    }
    return done();
  }
  void note(const pen::Message& m) { heard |= m.chars() == "late"; }

  bool heard = false;
};

INSTANTIATE_TEST_SUITE_P(RecvAndPoll, BusyReceiver, ::testing::Bool());

TEST_P(BusyReceiver, JoinsAndLeavesAllTheSame) {
  auto other = std::move(*pen::Client::attach("other", node.socket()));
  auto s = client.subscriber("t");
  auto ahead = other.publisher({.name = "ahead", .ring_entries = 64});
  ASSERT_TRUE(ahead->topic("t"));
  ASSERT_TRUE(until(*s, *ahead, [&] { return s->stats().lanes == 1; }));
  {
    auto late = other.publisher({.name = "late"});
    ASSERT_EQ(late->send(*late->topic("t"), "late"), PENSTOCK_OK);
    EXPECT_TRUE(until(*s, *ahead, [&] { return heard; }));
    EXPECT_EQ(s->stats().lanes, 2u);
  }
  EXPECT_TRUE(until(*s, *ahead, [&] { return s->stats().lanes == 1; }));
}

TEST_F(Receiver, PollHandsOverUpToItsLimitAndLetsGo) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.ring_entries = 16});
  const uint32_t t = *p->topic("t");
  for (int i = 0; i < 16; i++)
    ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
  int seen = 0;
  EXPECT_EQ(s->poll([&](const pen::Message&) { seen++; }, 5), 5);
  EXPECT_EQ(seen, 5);
  for (int i = 0; i < 5; i++)
    EXPECT_EQ(p->send(t, "x"), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, "x"), PENSTOCK_WOULD_BLOCK);
  EXPECT_EQ(s->poll([&](const pen::Message&) { seen++; }, 100), 16);
  EXPECT_EQ(s->poll([&](const pen::Message&) { seen++; }, 0), 0);
}

TEST_F(Receiver, HandlerMaySend) {
  auto s = client.subscriber("ping");
  auto back = client.subscriber("pong");
  auto p = client.publisher();
  const uint32_t ping = *p->topic("ping");
  const uint32_t pong = *p->topic("pong");
  ASSERT_EQ(p->send(ping, "1"), PENSTOCK_OK);
  EXPECT_EQ(
      s->poll([&](const pen::Message& m) { EXPECT_EQ(p->send(pong, m.chars()), PENSTOCK_OK); }), 1);
  pen::Message m;
  ASSERT_EQ(back->recv(m), PENSTOCK_OK);
  EXPECT_EQ(m.topic_name(), "pong");
}

TEST_F(Receiver, LossyOneHoldsNobodyBackAndLearnsWhatItMissed) {
  auto s = client.subscriber("t", {.policy = PENSTOCK_DROP_OLDEST});
  auto p = client.publisher({.ring_entries = 16});
  const uint32_t t = *p->topic("t");
  for (int i = 0; i < 1000; i++)
    ASSERT_EQ(p->send(t, std::to_string(i)), PENSTOCK_OK);
  pen::Message m;
  uint64_t next = 0;
  uint64_t missed = 0;
  while (s->recv(m, 0) == PENSTOCK_OK) {
    ASSERT_EQ(m.position, next);
    if (m.is_gap()) {
      EXPECT_EQ(m.parts, 0u);
      EXPECT_EQ(m.len, 0u);
      EXPECT_STREQ(m.gap_reason_text(), "overrun");
      EXPECT_EQ(m.lane, s->stats().lanes == 1 ? m.lane : 0);
      missed += m.gap_count;
      next += m.gap_count;
    } else {
      ASSERT_EQ(m.chars(), std::to_string(next));
      next++;
    }
  }
  EXPECT_EQ(next, 1000u);
  EXPECT_GT(missed, 900u);
  EXPECT_EQ(s->stats().gaps[1], missed);
  EXPECT_EQ(s->stats().delivered + missed, 1000u);
}

TEST_F(Receiver, EvictedOneLearnsWhatItMisses) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.name = "p", .ring_entries = 16});
  const uint32_t t = *p->topic("t");
  for (int i = 0; i < 10; i++)
    ASSERT_EQ(p->send(t, std::to_string(i)), PENSTOCK_OK);
  pen::Message m;
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  EXPECT_EQ(m.chars(), "1");
  node.evict_readers_of("p");
  // The one it was looking at may have been overwritten: it counts as missed as well.
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  ASSERT_TRUE(m.is_gap());
  EXPECT_STREQ(m.gap_reason_text(), "evicted");
  EXPECT_EQ(m.position, 1u);
  EXPECT_EQ(m.gap_count, 9u);
  EXPECT_EQ(s->recv(m, 50'000'000), PENSTOCK_TIMEOUT);
  EXPECT_EQ(s->stats().delivered, 1u);
  EXPECT_EQ(s->stats().lanes, 0u);
  for (int i = 0; i < 100; i++)
    EXPECT_EQ(p->send(t, "x"), PENSTOCK_OK);  // it holds nobody back
}

TEST_F(Receiver, EvictedIdleOneIsToldToo) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.name = "p"});
  ASSERT_TRUE(p->topic("t"));
  node.evict_readers_of("p");
  pen::Message m;
  ASSERT_EQ(s->recv(m, 5'000'000'000), PENSTOCK_OK);
  EXPECT_STREQ(m.gap_reason_text(), "evicted");
}

TEST_F(Receiver, IsToldThatALaneEndedWithItsPeer) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.name = "p"});
  const uint32_t t = *p->topic("t");
  ASSERT_EQ(p->send(t, "last"), PENSTOCK_OK);
  node.lose_lane_of("p");
  pen::Message m;
  ASSERT_EQ(s->recv(m, 5'000'000'000), PENSTOCK_OK);
  EXPECT_EQ(m.chars(), "last");
  ASSERT_EQ(s->recv(m, 5'000'000'000), PENSTOCK_OK);
  ASSERT_TRUE(m.is_gap());
  EXPECT_STREQ(m.gap_reason_text(), "peer_down");
  EXPECT_EQ(m.gap_count, PENSTOCK_GAP_UNKNOWN);
  EXPECT_STREQ(m.publisher, "p");
  EXPECT_EQ(s->recv(m, 50'000'000), PENSTOCK_TIMEOUT) << "once";
  EXPECT_EQ(s->stats().lanes, 0u);
  for (const uint64_t gaps : s->stats().gaps)
    EXPECT_EQ(gaps, 0u) << "nobody knows how many, so none are counted";
}

TEST_F(Receiver, PullersShareTheWork) {
  auto a = client.puller("work.#");
  auto b = client.puller("work.#", {.ring_entries = 64, .arena_bytes = 8192});
  auto p = client.pusher({.name = "feeder"});
  const uint32_t t = *p->topic("work.gradients");
  std::map<std::string, int> seen;
  int of_a = 0;
  int of_b = 0;
  for (int i = 0; i < 500; i++)
    ASSERT_EQ(p->send_wait(t, std::to_string(i)), PENSTOCK_OK);
  const auto note = [&](const pen::Message& m) {
    EXPECT_FALSE(m.is_gap());
    EXPECT_EQ(m.topic_name(), "work.gradients");
    seen[std::string(m.chars())]++;
  };
  for (int i = 0; i < 5000 && of_a + of_b < 500; i++) {
    of_a += static_cast<int>(a->poll(note));
    of_b += static_cast<int>(b->poll(note));
    usleep(100);
  }
  EXPECT_EQ(of_a + of_b, 500);
  EXPECT_EQ(seen.size(), 500u);
  EXPECT_GT(of_a, 0);
  EXPECT_GT(of_b, 0);
}

// What a puller was given is let go of one by one: whatever remains goes to another.
TEST_F(Receiver, InboxIsLetGoOfMessageByMessage) {
  auto puller = client.puller("work", {.ring_entries = 4, .arena_bytes = 4096});
  auto p = client.pusher();
  const uint32_t t = *p->topic("work");
  for (int i = 0; i < 200; i++) {
    ASSERT_EQ(p->send_wait(t, std::to_string(i)), PENSTOCK_OK);
    pen::Message m;
    ASSERT_EQ(puller->recv(m), PENSTOCK_OK);
    EXPECT_EQ(m.chars(), std::to_string(i));
  }
}

TEST_F(Receiver, ReleaseLetsGoOfTheLastMessage) {
  auto s = client.subscriber("t");
  auto p = client.publisher({.ring_entries = 4});
  const uint32_t t = *p->topic("t");
  for (int i = 0; i < 4; i++)
    ASSERT_EQ(p->send(t, "x"), PENSTOCK_OK);
  pen::Message m;
  ASSERT_EQ(s->recv(m), PENSTOCK_OK);
  EXPECT_EQ(p->send(t, "x"), PENSTOCK_WOULD_BLOCK);
  s->release();
  EXPECT_EQ(p->send(t, "x"), PENSTOCK_OK);
}

// Hundreds of thousands through small lanes, three publishers, everything in order.
TEST_F(Receiver, LosesNothingInAHurry) {
  constexpr uint64_t kMessages = 30'000;
  auto s = client.subscriber("t.*");
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++)
    threads.emplace_back([this, i] {
      auto own = std::move(*pen::Client::attach("sender", node.socket()));
      const std::string name = "t." + std::to_string(i);
      auto p = own.publisher({.name = name.c_str(), .ring_entries = 64, .arena_bytes = 8192});
      const uint32_t t = *p->topic(name);
      for (uint64_t n = 0; n < kMessages; n++) {
        const std::vector<uint64_t> payload(1 + n % 16, n);
        ASSERT_EQ(p->send_wait(t, payload), PENSTOCK_OK);
      }
    });
  std::map<std::string, uint64_t> next;
  for (uint64_t n = 0; n < 3 * kMessages; n++) {
    pen::Message m;
    ASSERT_EQ(s->recv(m, 20'000'000'000), PENSTOCK_OK);
    ASSERT_FALSE(m.is_gap());
    uint64_t& want = next[m.publisher];
    ASSERT_EQ(m.len, 8 * (1 + want % 16));
    ASSERT_EQ(*static_cast<const uint64_t*>(m.data), want);
    want++;
  }
  for (auto& t : threads)
    t.join();
}

}  // namespace
}  // namespace penstock::test
