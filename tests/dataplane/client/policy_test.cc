// What a subscriber that may drop gets, and what it is told that it missed.
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>

#include "dataplane/client/penstock.hpp"
#include "tests/dataplane/client/mini_node.h"

namespace penstock::test {
namespace {

class Policy : public ::testing::Test {
 protected:
  pen::Subscriber subscriber(const pen::SubscriberOptions& options, const char* filter = "t.#") {
    auto s = client.subscriber(filter, options);
    EXPECT_TRUE(s) << pen::last_error();
    return std::move(*s);
  }
  // `count` messages of 100 bytes: 128 in the arena. The first is the number in its lane.
  void send(uint32_t count, const char* topic = "t.a") {
    const uint32_t id = *publisher.topic(topic);
    for (uint32_t i = 0; i < count; i++) {
      std::string text = std::to_string(sent++);
      text.resize(100, ' ');
      ASSERT_EQ(publisher.send(id, text), PENSTOCK_OK);
    }
  }
  static void expect_message(pen::Subscriber& s, uint64_t position) {
    pen::Message m;
    ASSERT_EQ(s.recv(m, 0), PENSTOCK_OK) << position;
    ASSERT_FALSE(m.is_gap()) << m.gap_reason_text() << " at " << m.position;
    EXPECT_EQ(m.position, position);
    EXPECT_EQ(std::stoull(std::string(m.chars())), position);
  }
  static void expect_messages(pen::Subscriber& s, uint64_t from, uint64_t to) {
    for (; from < to; from++)
      expect_message(s, from);
  }
  static void expect_gap(pen::Subscriber& s, const char* reason, uint64_t position,
                         uint64_t count) {
    pen::Message m;
    ASSERT_EQ(s.recv(m, 0), PENSTOCK_OK);
    ASSERT_TRUE(m.is_gap()) << m.position;
    EXPECT_STREQ(m.gap_reason_text(), reason);
    EXPECT_EQ(m.position, position);
    EXPECT_EQ(m.gap_count, count);
  }
  static void expect_nothing(pen::Subscriber& s) {
    pen::Message m;
    EXPECT_EQ(s.recv(m, 0), PENSTOCK_TIMEOUT);
  }

  MiniNode node;
  pen::Client client = std::move(*pen::Client::attach("tester", node.socket()));
  pen::Publisher publisher = std::move(*client.publisher(
      {.name = "p", .ring_entries = 256, .max_topics = 16, .arena_bytes = 1 << 17}));
  uint64_t sent = 0;
};

TEST_F(Policy, DropOldestKeepsAsManyMessagesAsItsLimit) {
  auto s = subscriber({.policy = PENSTOCK_DROP_OLDEST, .limit_messages = 10});
  send(10);
  expect_message(s, 0);
  send(90);
  expect_gap(s, "overrun", 1, 89);
  expect_messages(s, 90, 100);
  expect_nothing(s);
}

TEST_F(Policy, DropOldestKeepsAsManyBytesAsItsLimit) {
  auto s = subscriber({.policy = PENSTOCK_DROP_OLDEST, .limit_bytes = 10 * 128 + 64});
  send(100);
  expect_gap(s, "overrun", 0, 90);
  expect_messages(s, 90, 100);
  expect_nothing(s);
}

TEST_F(Policy, DropOldestShowsTheNewestHoweverLarge) {
  auto s = subscriber({.policy = PENSTOCK_DROP_OLDEST, .limit_bytes = 1});
  send(5);
  expect_gap(s, "overrun", 0, 4);
  expect_message(s, 4);
  expect_nothing(s);
}

TEST_F(Policy, DropNewestKeepsAsManyMessagesAsItsLimit) {
  auto s = subscriber({.policy = PENSTOCK_DROP_NEWEST, .limit_messages = 10});
  send(100);
  expect_messages(s, 0, 3);
  send(20);  // there is room again behind what is dropped
  expect_messages(s, 3, 10);
  expect_gap(s, "over_limit", 10, 90);
  expect_messages(s, 100, 110);
  expect_gap(s, "over_limit", 110, 10);
  expect_nothing(s);
  send(10);
  expect_messages(s, 120, 130);
  expect_nothing(s);
}

TEST_F(Policy, DropNewestKeepsAsManyBytesAsItsLimit) {
  auto s = subscriber({.policy = PENSTOCK_DROP_NEWEST, .limit_bytes = 10 * 128 + 64});
  send(100);
  expect_messages(s, 0, 10);
  expect_gap(s, "over_limit", 10, 90);
  expect_nothing(s);
}

TEST_F(Policy, DropNewestKeepsHalfALaneWithoutALimit) {
  auto s = subscriber({.policy = PENSTOCK_DROP_NEWEST});
  send(200);
  expect_messages(s, 0, 128);
  expect_gap(s, "over_limit", 128, 72);
  expect_nothing(s);
}

TEST_F(Policy, ConflateShowsTheNewestOfEachTopic) {
  auto s = subscriber({.policy = PENSTOCK_CONFLATE});
  send(1, "t.once");
  for (int i = 0; i < 30; i++)
    for (const char* topic : {"t.a", "t.b", "t.c"})
      send(1, topic);
  expect_message(s, 0);
  expect_gap(s, "conflated", 1, 87);
  expect_message(s, 88);
  send(1, "t.b");  // newer than what waits
  expect_gap(s, "conflated", 89, 1);
  expect_message(s, 90);
  expect_message(s, 91);
  expect_nothing(s);
}

TEST_F(Policy, ConflateTellsNothingOfTopicsThatNobodyAskedFor) {
  auto s = subscriber({.policy = PENSTOCK_CONFLATE}, "t.a");
  for (int i = 0; i < 10; i++) {
    send(1, "t.a");
    send(2, "t.b");
  }
  uint64_t missed = 0;
  pen::Message m;
  while (s.recv(m, 0) == PENSTOCK_OK && m.is_gap())
    missed += m.gap_count;
  EXPECT_EQ(missed, 9u);
  EXPECT_EQ(m.position, 27u);
  expect_nothing(s);
  EXPECT_EQ(s.stats().skipped, 20u);
  EXPECT_EQ(s.stats().delivered, 1u);
}

// Whatever is sent and received when: no hole between messages and gaps, and the newest of each
// topic always comes, unless its policy is to drop that.
TEST_F(Policy, EverythingIsShownOrTold) {
  const std::vector<pen::SubscriberOptions> all = {
      {.policy = PENSTOCK_DROP_OLDEST},
      {.policy = PENSTOCK_DROP_OLDEST, .limit_messages = 7},
      {.policy = PENSTOCK_DROP_OLDEST, .limit_bytes = 3'000},
      {.policy = PENSTOCK_CONFLATE},
      {.policy = PENSTOCK_DROP_NEWEST},
      {.policy = PENSTOCK_DROP_NEWEST, .limit_messages = 7, .limit_bytes = 500},
  };
  constexpr const char* kTopics[] = {"t.a", "t.b", "t.c", "t.d"};
  std::mt19937 engine(7);
  const auto dice = [&](uint32_t below) { return static_cast<uint32_t>(engine() % below); };
  for (const auto& options : all) {
    auto s = subscriber(options);
    uint64_t next = sent;
    std::map<std::string, uint64_t> newest, shown;
    pen::Message m;
    for (int round = 0; round < 200; round++) {
      for (uint32_t n = dice(round % 10 == 0 ? 400 : 20); n > 0; n--) {
        const char* topic = kTopics[dice(4)];
        newest[topic] = sent;
        send(1, topic);
      }
      for (uint32_t n = round == 199 ? 10'000 : dice(30); n > 0; n--) {
        if (s.recv(m, 0) != PENSTOCK_OK) break;
        ASSERT_EQ(m.position, next) << options.policy << " " << m.gap_count;
        next += m.is_gap() ? m.gap_count : 1;
        if (m.is_gap()) continue;
        ASSERT_EQ(std::stoull(std::string(m.chars())), m.position);
        shown[std::string(m.topic_name())] = m.position;
      }
    }
    EXPECT_EQ(next, sent) << options.policy;
    if (options.policy == PENSTOCK_CONFLATE) {
      EXPECT_EQ(shown, newest);
    }
  }
}

}  // namespace
}  // namespace penstock::test
