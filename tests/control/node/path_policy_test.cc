// Path policies between true clients of two nodes: what must come by RDMA waits for it, and is
// ended rather than shown a copy; who only prefers it hears of each time that it does not.
#include "tests/control/node/node_rig.h"

namespace penstock {
namespace {

constexpr size_t kLarge = 32'768;  // rdma.from is 16 KiB
constexpr uint64_t kLong = 3'600'000'000'000;

// The publisher is on side 0, the subscriber on side 1.
class Paths : public ::testing::Test {
 protected:
  void begin(std::array<bool, 2> rdma, uint64_t wait_ns) {
    nodes = std::make_unique<TwoNodes>(TwoNodesConfig{.rdma = rdma, .put_wait_ns = wait_ns});
    wait_up(*nodes);
    a = attach_to(*nodes, 0, "a");
    b = attach_to(*nodes, 1, "b");
    publisher = std::move(*a.publisher());
    topic = *publisher.topic("x");
    if (rdma[0] && rdma[1]) wait_rdma(true);
  }

  nlohmann::json link(int side) { return nlohmann::json::parse(nodes->show(side, "links"))[0]; }
  nlohmann::json subscription() {
    std::string answer;
    nodes->between_turns([&] { answer = nodes->node(1).show_subscriptions("", 1000); });
    return nlohmann::json::parse(answer)["subscriptions"][0];
  }

  void wait_rdma(bool up) {
    const auto so = [&] { return (link(0)["rdma"]["state"] == "up") == up; };
    for (int i = 0; i < 2000 && !so(); i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(so()) << nodes->describe();
  }
  void set_rdma(bool up) {
    nodes->between_turns([&] {
      for (int side = 0; side < 2; side++)
        nodes->fabric(side).set_port(up);
    });
    wait_rdma(up);
  }

  void send(uint32_t n, size_t size) {
    ASSERT_EQ(publisher.send_wait(topic, payload(n, size), kPatienceNs), PENSTOCK_OK);
  }
  void wait_logged(const char* text) {
    for (int i = 0; i < 2000 && nodes->logged(text) == 0; i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_EQ(nodes->logged(text), 1u) << nodes->describe();
  }
  // It is counted when the client has let go.
  void wait_dropped(uint64_t count) {
    const auto dropped = [&] {
      return nlohmann::json::parse(nodes->show(1, "drops"))["not_zero_copy"] == count;
    };
    for (int i = 0; i < 2000 && !dropped(); i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(dropped()) << nodes->describe();
  }
  void look_around() {
    nodes->between_turns([&] { nodes->node(1).look_around(Clock::raw_ns()); });
  }

  std::unique_ptr<TwoNodes> nodes;
  pen::Client a, b;
  pen::Publisher publisher;
  uint32_t topic = 0;
};

constexpr pen::SubscriberOptions kRequire{.path = PENSTOCK_REQUIRE_ZERO_COPY};
constexpr pen::SubscriberOptions kPrefer{.path = PENSTOCK_PREFER_ZERO_COPY};

TEST_F(Paths, WhatIsRequiredComesByRdmaAndIsCounted) {
  begin({true, true}, kLong);
  auto s = b.subscriber("x", kRequire);
  ASSERT_TRUE(s) << pen::last_error();
  // Before its mirror is known to the device it waits, too.
  for (uint32_t i = 0; i < 40; i++) {
    send(i, i % 4 == 3 ? 100 : kLarge);
    pen::Message m;
    ASSERT_EQ(s->recv(m, kPatienceNs), PENSTOCK_OK) << nodes->describe();
    ASSERT_EQ(m.chars(), payload(i, i % 4 == 3 ? 100 : kLarge)) << i;
    EXPECT_EQ(m.copied, 0u);
  }
  for (const auto& row : {subscription(), link(1)}) {
    EXPECT_EQ(row["by_rdma"], 30u) << row;
    EXPECT_EQ(row["by_rdma_bytes"], 30 * kLarge);
    EXPECT_EQ(row["by_frames"], 10u);
    EXPECT_EQ(row["by_frames_bytes"], 1000u);
    EXPECT_EQ(row["copied"], 0u);
  }
  EXPECT_EQ(subscription()["path"], "require_zero_copy");
  expect_identity(*nodes);
}

TEST_F(Paths, WhatIsRequiredWaitsForAConnectionThatIsDown) {
  begin({true, true}, kLong);
  auto s = b.subscriber("x", kRequire);
  auto other = b.subscriber("x");
  send(0, kLarge);
  expect_all(*s, 1, kLarge);
  set_rdma(false);
  send(1, 100);
  for (uint32_t i = 2; i < 5; i++)
    send(i, kLarge);
  expect_all(*s, 2, 100, 1);
  wait_logged(") waits for RDMA to node 2 (b), where somebody requires zero copy");
  expect_nothing(*s);
  set_rdma(true);
  expect_all(*s, 5, kLarge, 2);
  wait_logged("no longer waits for RDMA");
  EXPECT_EQ(link(1)["copied"], 0u);
  EXPECT_EQ(link(1)["by_rdma"], 4u);
  expect_all(*other, 1, kLarge);
  expect_all(*other, 2, 100, 1);
  expect_all(*other, 5, kLarge, 2);
  expect_identity(*nodes);
}

// It gets all before the message that was copied, and is told that this one and what follows will
// not come. Who only reads beside it gets all.
TEST_F(Paths, WhatIsRequiredEndsWhenItWaitedTooLong) {
  begin({true, true}, 200'000'000);
  auto s = b.subscriber("x", kRequire);
  auto other = b.subscriber("#");
  set_rdma(false);
  send(0, 100);
  send(1, kLarge);
  send(2, 100);
  pen::Message m;
  ASSERT_EQ(other->recv(m, kPatienceNs), PENSTOCK_OK);
  ASSERT_EQ(other->recv(m, kPatienceNs), PENSTOCK_OK);
  EXPECT_EQ(m.chars(), payload(1, kLarge));
  EXPECT_EQ(m.copied, 1u);
  expect_all(*other, 3, 100, 2);
  expect_all(*s, 1, 100);
  ASSERT_EQ(s->recv(m, kPatienceNs), PENSTOCK_OK);
  ASSERT_TRUE(m.is_gap());
  EXPECT_STREQ(m.gap_reason_text(), "not_zero_copy");
  EXPECT_EQ(m.position, 1u);
  EXPECT_EQ(m.gap_count, 2u);
  ASSERT_EQ(s->recv(m, kPatienceNs), PENSTOCK_EVICTED);
  EXPECT_NE(std::string(pen::last_error())
                .find("requires zero copy, came by frames: there is no "
                      "connection by RDMA to node 1 (a)"),
            std::string::npos)
      << pen::last_error();
  wait_dropped(2);
  EXPECT_EQ(nodes->numbers(1).counted.came.copied, 1u);
  // Nobody requires it now: nothing waits.
  send(3, kLarge);
  expect_all(*other, 4, kLarge, 3);
  expect_identity(*nodes);
}

// A topic that it did not ask for comes to its mirror by any way.
TEST_F(Paths, WhatOthersGetByFramesEndsNobody) {
  begin({true, true}, 0);
  auto s = b.subscriber("x", kRequire);
  auto other = b.subscriber("y");
  set_rdma(false);
  const uint32_t y = *publisher.topic("y");
  ASSERT_EQ(publisher.send_wait(y, payload(0, kLarge), kPatienceNs), PENSTOCK_OK);
  expect_all(*other, 1, kLarge);
  send(0, 100);
  expect_all(*s, 1, 100);
  expect_identity(*nodes);
}

TEST_F(Paths, NobodyWaitsForANodeWithoutDevice) {
  begin({false, true}, kLong);
  auto s = b.subscriber("x", kRequire);
  ASSERT_TRUE(s) << pen::last_error();
  send(0, 100);
  send(1, kLarge);
  expect_all(*s, 1, 100);
  pen::Message m;
  ASSERT_EQ(s->recv(m, kPatienceNs), PENSTOCK_OK);
  EXPECT_STREQ(m.gap_reason_text(), "not_zero_copy");
  EXPECT_EQ(s->recv(m, kPatienceNs), PENSTOCK_EVICTED);
}

TEST_F(Paths, WhatCannotBeIsRefused) {
  begin({false, false}, kLong);
  EXPECT_EQ(b.subscriber("x", kRequire).code(), PENSTOCK_NO_DEVICE);
  EXPECT_NE(std::string(pen::last_error()).find("see rdma.device"), std::string::npos);
  auto lossy = kRequire;
  lossy.policy = PENSTOCK_CONFLATE;
  EXPECT_EQ(b.subscriber("x", lossy).code(), PENSTOCK_INVALID);
  EXPECT_NE(std::string(pen::last_error()).find("block and disconnect"), std::string::npos);
  EXPECT_EQ(b.subscriber("x", {.path = static_cast<penstock_path>(3)}).code(), PENSTOCK_INVALID);
  EXPECT_TRUE(b.subscriber("x", kPrefer));
}

TEST_F(Paths, WhatIsPreferredIsSaidOnceEachTimeThatItIsNotSo) {
  begin({true, true}, kLong);
  auto s = b.subscriber("x", kPrefer);
  constexpr const char* kBad =
      "client b, subscribed to x, reads a, whose large messages come by frames";
  constexpr const char* kGood = "client b, subscribed to x, no longer gets large messages";
  set_rdma(false);
  for (uint32_t i = 0; i < 3; i++) {
    send(i, kLarge);
    expect_all(*s, i + 1, kLarge, i);
    look_around();
  }
  EXPECT_EQ(nodes->logged(kBad), 1u);
  EXPECT_EQ(nodes->logged(" on node 1 (a): there is no connection by RDMA"), 1u);
  EXPECT_EQ(nodes->logged(kGood), 0u);
  EXPECT_EQ(subscription()["copied"], 3u);
  set_rdma(true);
  for (uint32_t i = 3; nodes->logged(kGood) == 0; i++) {
    ASSERT_LT(i, 2000u) << nodes->describe();  // until its mirror is known again
    send(i, kLarge);
    expect_all(*s, i + 1, kLarge, i);
    look_around();
  }
  EXPECT_EQ(nodes->logged(kBad), 1u);
}

}  // namespace
}  // namespace penstock
