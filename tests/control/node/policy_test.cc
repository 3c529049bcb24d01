// Overflow policies between true clients, on one host and between two: what a subscriber misses it
// is told, and the books say so.
#include "tests/control/node/node_rig.h"

namespace penstock {
namespace {

constexpr uint32_t kFew = 50;    // less than one has
constexpr uint32_t kMany = 300;  // far more than a lane of TwoNodes has room for

uint64_t dropped(TwoNodes& nodes, int side, const char* why) {
  return nlohmann::json::parse(nodes.show(side, "drops")).value(why, uint64_t{0});
}

void expect_dropped(TwoNodes& nodes, int side, const char* why, uint64_t count) {
  for (int i = 0; i < 2000 && dropped(nodes, side, why) != count; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(dropped(nodes, side, why), count) << "at " << side << nodes.describe();
}

// The node has looked, and found the subscriber too slow.
void wait_evicted(TwoNodes& nodes, int side) {
  const auto seen = [&] {
    return nodes.show(side, "lanes").find("\"evicted\"") != std::string::npos;
  };
  for (int i = 0; i < 2000 && !seen(); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(seen()) << nodes.describe();
}

// The lane has so many, and its link has delivered what it will.
void wait_taken(TwoNodes& nodes, uint64_t count) {
  const auto there = [&] {
    for (const auto& lane : nlohmann::json::parse(nodes.show(0, "lanes")))
      for (const auto& r : lane["readers"])
        if (lane["sent"] != count || (r["kind"] == "link" && r["in_flight"] != 0)) return false;
    return true;
  };
  for (int i = 0; i < 2000 && !there(); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(there()) << nodes.describe();
}

// The side of the subscriber; the publisher is on side 0.
class Policy : public ::testing::TestWithParam<int> {
 protected:
  Policy() { wait_up(nodes); }

  TwoNodes nodes;
  pen::Client a = attach_to(nodes, 0, "a");
  pen::Client b = attach_to(nodes, GetParam(), "b");
};

INSTANTIATE_TEST_SUITE_P(From, Policy, ::testing::Values(0, 1), [](const auto& side) {
  return side.param == 0 ? "ThisHost" : "TheOther";
});

// What is left of a subscription that has ended: messages and gaps without a hole, then the
// sentence. The message under its eyes may count as missed.
uint64_t expect_ended(pen::Receiver& receiver, uint32_t sent, const char* sentence) {
  pen::Message m;
  uint64_t next = 0;
  uint64_t missed = 0;
  pen::Code code = PENSTOCK_OK;
  while ((code = receiver.recv(m, kPatienceNs)) == PENSTOCK_OK) {
    if (m.is_gap()) {
      EXPECT_STREQ(m.gap_reason_text(), "too_slow");
      EXPECT_LE(m.position, next);
      EXPECT_LE(next, m.position + 1);
      missed += m.gap_count;
      next = m.position + m.gap_count;
    } else {
      EXPECT_EQ(m.chars(), payload(static_cast<uint32_t>(next++), 100));
    }
  }
  EXPECT_EQ(code, PENSTOCK_EVICTED) << TwoNodes::latest->describe();
  EXPECT_NE(std::string(pen::last_error()).find(sentence), std::string::npos) << pen::last_error();
  EXPECT_GT(missed, 0u);
  EXPECT_LE(next, sent);
  EXPECT_EQ(receiver.recv(m, 0), PENSTOCK_EVICTED) << "and stays so";
  return missed;
}

TEST_P(Policy, DisconnectEndsWhoIsBehindItsLimit) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_DISCONNECT, .limit_messages = 10});
  ASSERT_TRUE(s) << pen::last_error();
  auto p = a.publisher();
  send_all(*p, *p->topic("x"), 50);  // the lane has room for 64
  wait_evicted(nodes, GetParam());
  const uint64_t missed = expect_ended(*s, 50, "policy disconnect");
  expect_dropped(nodes, GetParam(), "too_slow", missed);
  expect_identity(nodes);
}

TEST_P(Policy, DisconnectCountsBytesToo) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_DISCONNECT, .limit_bytes = 5'000});
  auto p = a.publisher();
  send_all(*p, *p->topic("x"), 50);  // 128 bytes each in the arena
  wait_evicted(nodes, GetParam());
  expect_ended(*s, 50, "bytes of a wait, more than 5000");
  expect_identity(nodes);
}

TEST_P(Policy, DisconnectLeavesInPeaceWhoKeepsUp) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_DISCONNECT, .limit_messages = 10});
  auto p = a.publisher();
  const uint32_t x = *p->topic("x");
  for (uint32_t i = 0; i < kMany; i++) {
    ASSERT_EQ(p->send_wait(x, payload(i, 100), kPatienceNs), PENSTOCK_OK);
    expect_all(*s, i + 1, 100, i);
  }
  expect_nothing(*s);
  expect_identity(nodes);
}

// A publisher that fills its lane goes on when the time is up, and who reads well misses nothing.
TEST_P(Policy, BlockHoldsAPublisherBackForItsTimeOnly) {
  auto slow = b.subscriber("x", {.block_ns = 300'000'000});
  ASSERT_TRUE(slow) << pen::last_error();
  auto p = a.publisher();
  send_all(*p, *p->topic("x"), kMany);
  expect_ended(*slow, kMany, "policy block");
  expect_identity(nodes);
}

TEST_P(Policy, WhoWasDisconnectedMaySubscribeAgain) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_DISCONNECT, .limit_messages = 10});
  auto p = a.publisher();
  const uint32_t x = *p->topic("x");
  send_all(*p, x, 50);
  wait_evicted(nodes, GetParam());
  expect_ended(*s, 50, "policy disconnect");
  s = b.subscriber("x");
  send_all(*p, x, 20);
  expect_all(*s, 20);
  expect_nothing(*s);
  expect_identity(nodes);
}

// Policies that hold nobody back: what a stalled subscriber missed of this many.
struct Missed {
  uint64_t shown = 0;
  uint64_t told = 0;
  std::string last;
};

Missed take_all(pen::Receiver& receiver, uint32_t sent, const char* reason) {
  Missed all;
  pen::Message m;
  while (receiver.recv(m, 200'000'000) == PENSTOCK_OK) {
    if (m.is_gap()) {
      EXPECT_TRUE(m.gap_reason_text() == std::string(reason) ||
                  m.gap_reason_text() == std::string("overrun"))
          << m.gap_reason_text();
      all.told += m.gap_count;
    } else {
      all.shown++;
      all.last = m.chars();
    }
  }
  EXPECT_EQ(all.shown + all.told, sent) << TwoNodes::latest->describe();
  return all;
}

// What a peer's forward passed over on the way is told at this end too, so the sum is the same.
TEST_P(Policy, ConflateGetsTheLastOfEachTopic) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_CONFLATE});
  auto p = a.publisher();
  send_all(*p, *p->topic("x"), kFew);
  wait_taken(nodes, kFew);
  const Missed all = take_all(*s, kFew, "conflated");
  EXPECT_EQ(all.last, payload(kFew - 1, 100));
  if (GetParam() == 0) {
    EXPECT_EQ(all.shown, 1u);
    expect_dropped(nodes, 0, "conflated", kFew - 1);
  }
  expect_identity(nodes);
}

TEST_P(Policy, DropOldestGetsTheLastOnes) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_DROP_OLDEST, .limit_messages = 10});
  auto p = a.publisher();
  send_all(*p, *p->topic("x"), kFew);
  wait_taken(nodes, kFew);
  const Missed all = take_all(*s, kFew, "overrun");
  EXPECT_EQ(all.last, payload(kFew - 1, 100));
  if (GetParam() == 0) {
    EXPECT_EQ(all.shown, 10u);
    expect_dropped(nodes, 0, "overrun", kFew - 10);
  }
  expect_identity(nodes);
}

TEST_P(Policy, DropNewestGetsTheFirstOnes) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_DROP_NEWEST, .limit_messages = 10});
  auto p = a.publisher();
  send_all(*p, *p->topic("x"), kFew);
  wait_taken(nodes, kFew);
  const Missed all = take_all(*s, kFew, "over_limit");
  if (GetParam() == 0) {
    EXPECT_EQ(all.shown, 10u);
    EXPECT_EQ(all.last, payload(9, 100));
    expect_dropped(nodes, 0, "over_limit", kFew - 10);
  }
  expect_identity(nodes);
}

// The mirror is overrun, and in it notices of what the forward passed over.
TEST_P(Policy, AnOverrunTellsAllThatWasMissed) {
  auto s = b.subscriber("x", {.policy = PENSTOCK_DROP_OLDEST});
  auto p = a.publisher();
  const uint32_t x = *p->topic("x");
  send_all(*p, x, 1);
  expect_all(*s, 1);
  send_all(*p, x, kMany);
  wait_taken(nodes, kMany + 1);
  const Missed all = take_all(*s, kMany, "overrun");
  EXPECT_EQ(all.last, payload(kMany - 1, 100));
  expect_identity(nodes);
}

// A link with a round trip of 20 ms between a fast publisher and its subscribers.
struct SlowLink : ::testing::Test {
  SlowLink() {
    wait_up(nodes);
    SimFaults far;
    far.delay_ns = 10'000'000;
    nodes.set_faults(far);
  }
  static TwoNodesConfig large() {
    TwoNodesConfig c;
    c.lane.ring_log2 = c.mirror.ring_log2 = 10;
    return c;
  }
  // All that the forward passed over.
  uint64_t passed_over() {
    for (const auto& lane : nlohmann::json::parse(nodes.show(0, "lanes")))
      if (!lane["readers"].empty()) return lane["readers"][0]["dropped"].value("overrun", 0);
    return 0;
  }

  TwoNodes nodes{large()};
  pen::Client a = attach_to(nodes, 0, "a");
  pen::Client b = attach_to(nodes, 1, "b");
};

TEST_F(SlowLink, APeerThatMayMissIsSentTheNewest) {
  for (const penstock_policy policy : {PENSTOCK_DROP_OLDEST, PENSTOCK_CONFLATE}) {
    auto s = b.subscriber("x", {.policy = policy});
    auto p = a.publisher();
    const uint32_t x = *p->topic("x");
    // All at once, as far as the worker can see.
    nodes.between_turns([&] {
      for (uint32_t i = 0; i < 1'000; i++)
        ASSERT_EQ(p->send(x, payload(i, 100)), PENSTOCK_OK) << i;
    });
    wait_taken(nodes, 1'000);
    EXPECT_GT(passed_over(), 0u) << nodes.describe();
    EXPECT_LT(passed_over(), 1'000u);
    const Missed all = take_all(*s, 1'000, "conflated");
    EXPECT_EQ(all.last, payload(999, 100));
    expect_identity(nodes);
    p = a.publisher();  // the lane goes, with its books
    s = b.subscriber("y");
    for (int i = 0; i < 2000 && nodes.show(0, "lanes").find("\"sent\":1000") != std::string::npos;
         i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// As long as one of them must not miss any, nothing is passed over, whoever came first.
TEST_F(SlowLink, OneWhoMustMissNothingIsWaitedFor) {
  auto any = b.subscriber("x", {.policy = PENSTOCK_DROP_OLDEST});
  auto p = a.publisher();
  const uint32_t x = *p->topic("x");
  auto all = b.subscriber("x");
  uint32_t sent = 0;
  for (uint32_t got = 0; got < 500;) {
    while (sent < 500 && p->send(x, payload(sent, 100)) == PENSTOCK_OK)
      sent++;
    expect_all(*all, got + 1, 100, got);
    got++;
    if (HasFailure()) break;
  }
  EXPECT_EQ(passed_over(), 0u);
  take_all(*any, 500, "overrun");
  expect_identity(nodes);
}

TEST(PolicyOptions, MustSuitThePolicy) {
  TwoNodes nodes;
  auto c = attach_to(nodes, 0, "c");
  for (const pen::SubscriberOptions& wrong : {
           pen::SubscriberOptions{.policy = static_cast<penstock_policy>(5)},
           pen::SubscriberOptions{.limit_messages = 1},
           pen::SubscriberOptions{.limit_bytes = 1},
           pen::SubscriberOptions{.policy = PENSTOCK_DROP_OLDEST, .block_ns = 1},
           pen::SubscriberOptions{.policy = PENSTOCK_DISCONNECT, .block_ns = 1},
           pen::SubscriberOptions{.policy = PENSTOCK_CONFLATE, .limit_messages = 1},
       })
    EXPECT_EQ(c.subscriber("x", wrong).code(), PENSTOCK_INVALID) << pen::last_error();
}

}  // namespace
}  // namespace penstock
