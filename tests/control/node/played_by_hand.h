// One node, a publisher and a subscriber that a test plays by hand, store by store, on virtual
// time.
#pragma once

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/fuzz/guest.h"

namespace penstock {

using test::Guest;

inline constexpr LaneGeometry kLane{.ring_log2 = 3, .arena_log2 = 12, .topics = 4};

class PlayedByHand : public ::testing::Test {
 protected:
  explicit PlayedByHand(const attach::Overflow& overflow = {}) {
    NodeConfig c;
    c.id = c.epoch = 1;
    c.lane = c.mirror = c.inbox = kLane;
    c.workers.assign(1, IdleConfig{});
    node = Node::create(
        c,
        [this](const Event& e) {
          log += e.text + "\n";
          events.push_back(e);
        },
        log);
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
    subscribe.overflow = overflow;
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
  // What a publisher says when it finds no room for the message at `head`.
  void no_room_at(uint64_t head) {
    reinterpret_cast<LaneHeader*>(publisher.lanes[0].memory.data())->held.store(head + 1);
  }
  void publish(uint64_t head) {
    for (uint64_t position = 0; position < head; position++)
      stamp(position);
    count(head);
  }
  nlohmann::json reader() {
    return nlohmann::json::parse(node->show("lanes")).at(0).at("readers").at(0);
  }

  std::string log;
  std::vector<Event> events;
  uint64_t now = 1'000'000'000;
  std::unique_ptr<Node> node;
  Guest publisher;
  Guest subscriber;
  ReaderSlot* slot = nullptr;
};

}  // namespace penstock
