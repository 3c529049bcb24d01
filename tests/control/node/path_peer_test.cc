// Path policies against a peer that the test plays by hand, on virtual time: how long what is
// required is waited for, and what becomes of it when the peer goes.
#include <gtest/gtest.h>

#include "tests/control/node/peer_rig.h"

namespace penstock {
namespace {

using attach::PathPolicy;
using test::Guest;
using test::HostilePeer;

constexpr uint32_t kTick = 600;     // rounds: a tick, and a little
constexpr uint32_t kWait = 16'000;  // rounds: rdma.wait, and a little
constexpr uint64_t kLarge = 2048;

class PathsOfPeer : public test::PeerRig {
 protected:
  // The peer has the lower id, so that it calls for RDMA when it likes to.
  PathsOfPeer()
      : PeerRig({.port = {},
                 .node = 2,
                 .devices = 1,
                 .put_from = kLarge,
                 .put_wait_ns = 2'000'000'000}) {}

  size_t slow_path(Change change) const {
    return static_cast<size_t>(std::ranges::count_if(events, [&](const Event& e) {
      return e.name == EventName::kSlowPath && e.change == change;
    }));
  }

  // --- a client that reads what the peer publishes ---
  void subscribe_to_peer(PathPolicy path) {
    enter(client);
    attach::Subscribe s;
    s.path = path;
    peer::set_text(s.filter, "a");
    client.say(s);
    settle(2);
    say(topic(1, 0, "a"));
    settle(4);
    peer.open(1);
  }
  void publish(size_t size) {
    peer.publish(1, 0, size);
    settle(4);
  }
  void remove() {
    node->remove_peer(HostilePeer::kNode, [this] { gone = true; });
    settle(3 * kTick);
    ASSERT_TRUE(gone);
  }
  void hear_client() {
    settle(kTick);
    while (client.hear()) {
    }
  }
  void read_up_to(uint64_t position) {
    hear_client();
    ASSERT_EQ(client.joins.size(), 1u);
    const attach::Join& j = client.joins[0];
    ReaderSlot& slot = reinterpret_cast<PositionTable*>(client.positions.data())->slots[j.slot];
    slot.shown.store(position);
    slot.position.store(position);
    slot.generation.store(j.generation);
    hear_client();
  }
  void let_go() {
    const attach::Join& j = client.joins[0];
    client.say(attach::Released{.lane_id = j.lane_id, .slot = j.slot, .generation = j.generation});
    settle(2 * kTick);
    EXPECT_EQ(node->show("lanes"), "[]");
  }

  // --- a client that publishes t to the peer ---
  void begin_lane() {
    enter(client);
    client.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
    hear(client);
    client.say(attach::Mapped{.lane_id = client.lanes.at(0).id});
    add_topic(client, "t");
    lane.emplace(client.lanes[0].memory.data(), HostilePeer::kLane, nullptr);
    (void)lane->add_topic("t");
  }
  void want(uint64_t key, PathPolicy path) {
    peer::SubAdd m = wish(key, "t");
    m.path = path;
    say(m);
    settle(8);
    if (mirror) return;
    ASSERT_EQ(peer.asked.size(), 1u);
    mirror = peer.asked[0];
    peer.take(*mirror);
    say(peer::LaneReady{
        .alias = mirror->alias, .epoch = 1, .topic = 0, .mirror = HostilePeer::kLane});
    settle(8);
  }
  void send() {
    ASSERT_EQ(lane->send({}, std::vector<std::byte>(kLarge)), Errc::kOk);
    settle(8);
  }

  bool gone = false;
  Guest client;
  std::optional<LaneWriter> lane;
  std::optional<peer::LaneTopic> mirror;
};

// Its links are freed then, and their counts with them.
TEST_F(PathsOfPeer, WhatWasCopiedIsReadAfterThePeerIsRemoved) {
  subscribe_to_peer(PathPolicy::kPrefer);
  publish(kLarge);
  node->look_around(now);
  EXPECT_EQ(slow_path(Change::kRaised), 1u) << log;
  remove();
  read_up_to(1);
  let_go();
  EXPECT_EQ(slow_path(Change::kCleared), 1u) << log;
  EXPECT_EQ(node->numbers().counted.came.copied, 1u);
}

TEST_F(PathsOfPeer, WhoPrefersZeroCopyIsToldAfterThePeerIsRemoved) {
  subscribe_to_peer(PathPolicy::kPrefer);
  publish(kLarge);
  remove();
  node->look_around(now);
  EXPECT_EQ(slow_path(Change::kRaised), 1u);
  EXPECT_NE(log.find("(hostile), which is no peer any more"), std::string::npos) << log;
  read_up_to(1);
  let_go();
}

TEST_F(PathsOfPeer, WhoRequiresItIsEndedAfterThePeerIsRemoved) {
  subscribe_to_peer(PathPolicy::kRequireZeroCopy);
  publish(8);
  publish(kLarge);
  remove();
  EXPECT_TRUE(client.ended.empty());
  read_up_to(1);
  ASSERT_EQ(client.ended.size(), 1u) << log;
  EXPECT_NE(log.find("(hostile), which is no peer any more"), std::string::npos) << log;
  let_go();
  EXPECT_EQ(show("drops")["not_zero_copy"], 1);
}

TEST_F(PathsOfPeer, WhoComesAfterItWasGivenUpIsWaitedForAsLong) {
  begin_lane();
  want(1, PathPolicy::kRequireZeroCopy);
  send();
  settle(kWait / 2);
  EXPECT_EQ(peer.taken(), 0u);
  settle(kWait / 2 + 2 * kTick);
  EXPECT_EQ(peer.taken(), 1u) << "by frames";
  want(2, PathPolicy::kRequireZeroCopy);
  send();
  settle(kWait / 2);
  EXPECT_EQ(peer.taken(), 1u);
  settle(kWait / 2 + 2 * kTick);
  EXPECT_EQ(peer.taken(), 2u);
}

// It may fail each time that it is called for: nothing would go at all.
TEST_F(PathsOfPeer, AConnectionThatNothingWentByIsNotWaitedForAgain) {
  begin_lane();
  want(1, PathPolicy::kRequireZeroCopy);
  send();
  settle(kWait + 2 * kTick);
  ASSERT_EQ(peer.taken(), 1u);
  const auto end = std::move(*fabrics.add().create_endpoint());
  say(peer::RdmaCall{.end = {.life = 1,
                             .session = peer.session(),
                             .window = 8,
                             .landing_bytes = sizeof(Landing),
                             .address = end->address()}});
  settle(200);
  ASSERT_EQ(peer.rdma.size(), 1u);
  say(peer::RdmaMirror{.alias = mirror->alias,
                       .epoch = 1,
                       .life = 1,
                       .key = 1,
                       .address = 4096,
                       .bytes = HostilePeer::kLane.arena_size()});
  settle(2 * kTick);
  ASSERT_TRUE(peer.rdma_ended.empty()) << "it is up";
  send();
  settle(2 * kTick);
  EXPECT_EQ(peer.taken(), 2u) << node->show("lanes");
}

TEST_F(PathsOfPeer, NobodyIsSaidToWaitWhenNobodyRequiresIt) {
  begin_lane();
  want(1, PathPolicy::kRequireZeroCopy);
  want(2, PathPolicy::kAny);
  send();
  settle(kWait / 2 + 2 * kTick);
  EXPECT_EQ(slow_path(Change::kRaised), 1u) << log;
  EXPECT_EQ(peer.taken(), 0u);
  say(peer::SubDel{.key = 1});
  settle(2 * kTick);
  EXPECT_EQ(peer.taken(), 1u);
  EXPECT_EQ(slow_path(Change::kCleared), 1u) << log;
}

}  // namespace
}  // namespace penstock
