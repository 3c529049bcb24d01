// Who is evicted, and who is not: a node, a publisher and a subscriber that a test plays by hand,
// store by store, on virtual time.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/fuzz/guest.h"

namespace penstock {
namespace {

using test::Guest;

constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 12, .topics = 4};

class Eviction : public ::testing::Test {
 protected:
  Eviction() {
    NodeConfig c;
    c.id = c.epoch = 1;
    c.lane = c.mirror = c.inbox = kLane;
    c.workers.assign(1, IdleConfig{});
    node = Node::create(
        c, [this](std::string_view t) { log += std::string(t) + "\n"; }, log);
    for (Guest* g : {&publisher, &subscriber}) {
      g->attach(*node, now);
      g->say(attach::Hello{});
      settle();
      g->say(attach::Mapped{});
    }
    publisher.say(attach::Declare{.geometry = kLane, .name = {}});
    settle();
    publisher.say(attach::Mapped{.lane_id = publisher.lanes.at(0).id});
    attach::AddTopic topic;
    topic.lane_id = publisher.lanes[0].id;
    peer::set_text(topic.name, "t");
    publisher.say(topic);
    attach::Subscribe subscribe;
    peer::set_text(subscribe.filter, "t");
    subscriber.say(subscribe);
    settle();
    const attach::Join& join = subscriber.joins.at(0);
    slot = &reinterpret_cast<PositionTable*>(subscriber.positions.data())->slots[join.slot];
    slot->position.store(join.start);
    slot->generation.store(join.generation);
    settle();
  }

  // Every tick the node looks at who reads how far.
  void settle() {
    for (int i = 0; i < 3; i++) {
      now += Node::kTickNs;
      node->worker(0).turn(now);
      node->poll(now);
    }
    for (Guest* g : {&publisher, &subscriber})
      while (g->hear()) {
      }
  }
  // The two stores of a publish that readers and the node go by, in their order.
  void stamp(uint64_t position) {
    auto* ring = reinterpret_cast<Descriptor*>(publisher.lanes[0].memory.data() + kLane.ring_at());
    ring[position % kLane.ring_size()].stamp.store(position + 1);
  }
  void count(uint64_t head) {
    reinterpret_cast<LaneHeader*>(publisher.lanes[0].memory.data())->head.store(head);
  }
  nlohmann::json reader() {
    return nlohmann::json::parse(node->show("lanes")).at(0).at("readers").at(0);
  }

  std::string log;
  uint64_t now = 1'000'000'000;
  std::unique_ptr<Node> node;
  Guest publisher;
  Guest subscriber;
  ReaderSlot* slot = nullptr;
};

// The position says what a reader let go of, its library what it showed: should the two ever
// differ, the books say so.
TEST_F(Eviction, AReaderThatCountsOtherwiseThanItReadsDoesNotBalance) {
  stamp(0);
  stamp(1);
  count(2);
  slot->shown.store(1);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
  EXPECT_EQ(reader()["sent"], 2);
  EXPECT_EQ(reader()["delivered"], 1);
  EXPECT_EQ(reader()["in_flight"], 0);
  slot->shown.store(2);
  EXPECT_EQ(reader()["delivered"], 2);
}

// The publisher was stopped between its two stores; the reader has read the message meanwhile.
TEST_F(Eviction, WhoReadAMessageThatIsNotCountedYetIsHonest) {
  stamp(0);
  count(1);
  stamp(1);
  slot->shown.store(2);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
  EXPECT_EQ(reader()["sent"], 2);
  EXPECT_EQ(reader()["delivered"], 2);
  count(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
}

// A worker counts once a burst.
TEST_F(Eviction, AWholeBurstMayBeUncounted) {
  for (uint64_t position = 0; position < kLane.ring_size(); position++)
    stamp(position);
  slot->position.store(kLane.ring_size());
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
}

TEST_F(Eviction, WhoClaimsOneMoreThanThereIsGoes) {
  stamp(0);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
  EXPECT_NE(log.find("claims position 2"), std::string::npos) << log;
}

TEST_F(Eviction, WhoGoesBackGoes) {
  stamp(0);
  stamp(1);
  count(2);
  slot->position.store(2);
  settle();
  EXPECT_EQ(reader()["mode"], "reliable") << log;
  slot->position.store(1);
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
}

// What it had read by the last honest look is delivered, the rest was dropped.
TEST_F(Eviction, WhatALiarDidNotReadIsNotDelivered) {
  for (uint64_t position = 0; position < 5; position++)
    stamp(position);
  count(5);
  slot->position.store(2);
  settle();
  slot->position.store(1'000);
  EXPECT_EQ(reader()["delivered"], 2) << "before anybody has noticed";
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
  EXPECT_EQ(reader()["delivered"], 2);
  EXPECT_EQ(reader()["in_flight"], 3);
  subscriber.say(attach::Unsubscribe{.subscription = subscriber.subscriptions.at(0)});
  settle();
  const auto left = nlohmann::json::parse(node->show("lanes")).at(0).at("left");
  EXPECT_EQ(left["delivered"], 2) << left.dump();
  EXPECT_EQ(left["dropped"]["evicted"], 3) << left.dump();
}

// A stamp of an earlier lap is no message.
TEST_F(Eviction, AnOldStampDoesNotExcuseAnybody) {
  for (uint64_t position = 0; position < kLane.ring_size(); position++)
    stamp(position);
  count(kLane.ring_size());
  slot->position.store(kLane.ring_size() + 1);
  settle();
  EXPECT_EQ(reader()["mode"], "evicted");
}

}  // namespace
}  // namespace penstock
