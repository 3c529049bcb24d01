// Messages that their receiver only hears of: they stand in the books as dropped, never as
// delivered.
#include "tests/control/node/node_rig.h"

namespace penstock {
namespace {

constexpr size_t kTooBig = 5000;
constexpr LaneGeometry kSmall{.ring_log2 = 6, .arena_log2 = 12, .topics = 64};

uint64_t too_big(TwoNodes& nodes, int side) {
  return nlohmann::json::parse(nodes.show(side, "drops")).value("too_big", uint64_t{0});
}

void expect_too_big(TwoNodes& nodes, int side, uint64_t count) {
  for (int i = 0; i < 2000 && too_big(nodes, side) != count; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(too_big(nodes, side), count) << "at " << side << nodes.describe();
}

// What the readers of a lane of this kind lost because it was too big, and what they got.
std::pair<uint64_t, uint64_t> row(TwoNodes& nodes, int side, const char* kind) {
  for (const auto& lane : nlohmann::json::parse(nodes.show(side, "lanes"))) {
    if (lane["kind"] != kind || lane["readers"].empty()) continue;
    const auto& r = lane["readers"][0];
    return {r["dropped"].value("too_big", uint64_t{0}), r["delivered"].get<uint64_t>()};
  }
  return {};
}

// Three that are too big, and one that is not.
void send_them(pen::Sender& sender, uint32_t topic) {
  for (int i = 0; i < 3; i++)
    ASSERT_EQ(sender.send_wait(topic, payload(0, kTooBig), kPatienceNs), PENSTOCK_OK);
  ASSERT_EQ(sender.send_wait(topic, payload(0, 100), kPatienceNs), PENSTOCK_OK);
}

void hear_of_them(pen::Receiver& receiver) {
  for (int i = 0; i < 3; i++) {
    pen::Message m;
    ASSERT_EQ(receiver.recv(m, kPatienceNs), PENSTOCK_OK) << TwoNodes::latest->describe();
    ASSERT_TRUE(m.is_gap());
    EXPECT_EQ(std::string(m.gap_reason_text()), "too_big");
  }
  expect_all(receiver, 1);
  expect_nothing(receiver);  // and lets go of the last
}

TEST(Books, WhatIsLargerThanTheMirrorIsDroppedOnBothNodes) {
  TwoNodesConfig config;
  config.mirror = kSmall;
  TwoNodes nodes(config);
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
  auto s = b.subscriber("x");
  auto p = a.publisher();
  send_them(*p, *p->topic("x"));
  hear_of_them(*s);
  expect_too_big(nodes, 0, 3);
  expect_too_big(nodes, 1, 3);
  EXPECT_EQ(row(nodes, 0, "lane"), std::pair(uint64_t{3}, uint64_t{1})) << nodes.describe();
  EXPECT_EQ(row(nodes, 1, "mirror"), std::pair(uint64_t{3}, uint64_t{1})) << nodes.describe();
  expect_identity(nodes);
}

TEST(Books, WhatIsLargerThanTheInboxIsDroppedOnce) {
  TwoNodesConfig config;
  config.inbox = kSmall;
  TwoNodes nodes(config);
  auto a = attach_to(nodes, 0, "a");
  auto q = a.puller("x");
  auto p = a.pusher();
  send_them(*p, *p->topic("x"));
  hear_of_them(*q);
  expect_too_big(nodes, 0, 3);
  EXPECT_EQ(row(nodes, 0, "lane"), std::pair(uint64_t{3}, uint64_t{1})) << nodes.describe();
  expect_identity(nodes);
}

// The books outlive the puller, and the pusher's lane.
TEST(Books, WhatIsLargerThanTheMirrorOfAGroupStaysInTheBooks) {
  TwoNodesConfig config;
  config.mirror = kSmall;
  TwoNodes nodes(config);
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  {
    auto b = attach_to(nodes, 1, "b");
    auto q = b.puller("x");
    auto p = a.pusher();
    send_them(*p, *p->topic("x"));
    expect_too_big(nodes, 0, 3);
    EXPECT_EQ(row(nodes, 0, "lane").first, 3u) << nodes.describe();
    pen::Message m;
    ASSERT_EQ(q->recv(m, kPatienceNs), PENSTOCK_OK);
    EXPECT_EQ(m.chars(), payload(0, 100));
    expect_too_big(nodes, 1, 3);
    expect_nothing(*q);
    expect_identity(nodes);
  }
  for (int i = 0; i < 2000 && nodes.show(0, "lanes") + nodes.show(1, "lanes") != "[][]"; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(nodes.show(0, "lanes") + nodes.show(1, "lanes"), "[][]");
  EXPECT_EQ(too_big(nodes, 0), 3u);
  EXPECT_EQ(too_big(nodes, 1), 3u);
}

// Two of four topics are named at the peer; the others are refused, and the lane goes on.
TEST(Books, TopicsBeyondThoseOfAMirrorAreRefusedAndCounted) {
  TwoNodesConfig config;
  config.mirror.topics = 2;
  TwoNodes nodes(config);
  wait_up(nodes);
  auto a = attach_to(nodes, 0, "a");
  auto b = attach_to(nodes, 1, "b");
  auto s = b.subscriber("#");
  auto p = a.publisher();
  std::vector<uint32_t> topics;
  for (const char* name : {"w", "x", "y", "z"})
    topics.push_back(*p->topic(name));
  for (uint32_t i = 0; i < 3; i++)
    for (uint32_t t : {3, 2, 1, 0})
      ASSERT_EQ(p->send_wait(topics[t], payload(i, 100), kPatienceNs), PENSTOCK_OK);
  pen::Message m;
  std::vector<std::string> got;
  while (got.size() < 6 && s->recv(m, kPatienceNs) == PENSTOCK_OK)
    got.emplace_back(m.topic);
  EXPECT_EQ(got, (std::vector<std::string>{"x", "w", "x", "w", "x", "w"})) << nodes.describe();
  expect_nothing(*s);
  const auto refused = [&] {
    return nlohmann::json::parse(nodes.show(0, "drops")).value("refused", 0);
  };
  for (int i = 0; i < 2000 && refused() != 6; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(refused(), 6) << nodes.describe();
  expect_identity(nodes);
  int said = 0;
  nodes.between_turns([&] {
    for (const std::string& line : nodes.log())
      said += line.find("mirror.topics") != line.npos ? 1 : 0;
  });
  EXPECT_EQ(said, 1) << nodes.describe();
}

}  // namespace
}  // namespace penstock
