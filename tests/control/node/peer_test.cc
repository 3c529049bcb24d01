// A peer that says what no node would say, or more than a node may: played by hand over a true
// link, on virtual time.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "tests/fuzz/guest.h"
#include "tests/fuzz/hostile_peer.h"

namespace penstock {
namespace {

using test::Guest;
using test::HostilePeer;

class Peer : public ::testing::Test {
 protected:
  explicit Peer(const SimPortConfig& port = {})
      : port_(net_.add_port(port)),
        peer_port_(net_.add_port()),
        net_port_(port_, HostilePeer::net_config(port_, HostilePeer::kNode)),
        node(Node::create(
            config(), [this](std::string_view t) { log += std::string(t) + "\n"; }, log)),
        peer(peer_port_) {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    node->add_port({.name = "sim",
                    .device = "sim",
                    .address = "",
                    .mtu = 1500,
                    .worker = 0,
                    .queue = 0,
                    .net = &net_port_});
    std::vector<PathRecord> paths(1);
    paths[0].path = HostilePeer::path(port_, HostilePeer::kNode);
    paths[0].net = &net_port_;
    node->add_peer(HostilePeer::kSelf, "hostile", std::move(paths));
    for (int i = 0; i < 500 && !peer.up(); i++)
      settle(1);
    settle(4);
  }

  static NodeConfig config() {
    NodeConfig c;
    c.id = HostilePeer::kNode;
    c.epoch = 1;
    c.name = "node";
    c.lane = c.mirror = c.inbox = HostilePeer::kLane;
    c.workers.assign(1, IdleConfig{});
    return c;
  }
  // Everything but the node's control thread.
  void turn() {
    for (int i = 0; i < 4; i++) {
      now += 30'000;
      net_.advance(now);
      peer.turn(now);
      net_.advance(now += 2000);
      node->worker(0).turn(now);
    }
    peer.hear();
  }
  void settle(int rounds) {
    for (int r = 0; r < rounds; r++) {
      turn();
      node->poll(now);
    }
  }
  template <class T>
  void say(const T& message) {
    peer.say(std::as_bytes(std::span(&message, 1)));
  }
  static peer::LaneTopic topic(uint32_t alias, uint32_t row, const char* name) {
    peer::LaneTopic m;
    m.alias = alias;
    m.epoch = 1;
    m.topic = row;
    m.lane_id = alias;
    m.geometry = HostilePeer::kLane;
    peer::set_text(m.name, name);
    return m;
  }
  static peer::SubAdd wish(uint64_t key, const char* filter) {
    peer::SubAdd m;
    m.key = key;
    peer::set_text(m.filter, filter);
    return m;
  }
  void enter(Guest& g) {
    g.attach(*node, now);
    g.say(attach::Hello{});
    settle(1);
    g.say(attach::Mapped{});
    settle(1);
    while (g.hear()) {
    }
  }
  nlohmann::json show(const char* what) { return nlohmann::json::parse(node->show(what)); }

  std::string log;
  uint64_t now = 1'000'000'000;
  SimNet net_{1};
  SimPort& port_;
  SimPort& peer_port_;
  NetPort net_port_;
  std::unique_ptr<Node> node;
  HostilePeer peer;
};

TEST_F(Peer, MayNotRenameATopic) {
  say(topic(1, 0, "a"));
  settle(4);
  say(topic(1, 0, "b"));
  settle(4);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kInvalid);
  EXPECT_EQ(show("lanes")[0]["topic_names"], nlohmann::json{"a"});
}

TEST_F(Peer, CannotMoveTheCursorWithAName) {
  peer::LaneTopic m = topic(1, 0, "a");
  peer::set_text(m.publisher, "\x1b[2J");
  say(m);
  settle(4);
  Guest g;
  enter(g);
  attach::Subscribe s;
  peer::set_text(s.filter, "a");
  g.say(s);
  settle(2);
  while (g.hear()) {
  }
  EXPECT_STREQ(g.joins.at(0).publisher, "?[2J");
}

// Its port gives frames back after ten seconds.
class SlowPort : public Peer {
 protected:
  SlowPort() : Peer({.tx_ns = 10'000'000'000}) {}
};

TEST_F(SlowPort, AClosedLaneWaitsForItsFramesWithoutWork) {
  Guest g;
  enter(g);
  g.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
  settle(1);
  while (g.hear()) {
  }
  g.say(attach::Mapped{.lane_id = g.lanes.at(0).id});
  attach::AddTopic t;
  t.lane_id = g.lanes[0].id;
  peer::set_text(t.name, "t");
  g.say(t);
  say(wish(1, "t"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  peer.take(peer.asked[0]);
  peer::LaneReady ready;
  ready.alias = peer.asked[0].alias;
  ready.epoch = 1;
  ready.mirror = HostilePeer::kLane;
  say(ready);
  settle(4);
  LaneWriter lane(g.lanes[0].memory.data(), HostilePeer::kLane, nullptr);
  const std::vector<std::byte> bytes(2000);  // too many to be copied
  ASSERT_EQ(lane.send({}, bytes), Errc::kOk);
  settle(2000);  // some ticks
  g.say(attach::CloseLane{.lane_id = g.lanes[0].id});
  settle(8);
  ASSERT_EQ(show("lanes").size(), 1u) << "the port has a frame of it";
  for (int i = 0; i < 8; i++) {
    turn();
    EXPECT_EQ(node->poll(now), 0u);
  }
  EXPECT_FALSE(node->idle());
  now += 11'000'000'000;
  settle(2000);
  EXPECT_EQ(node->show("lanes"), "[]");
  EXPECT_TRUE(node->idle());
}

TEST_F(Peer, HasHalfOfThePlacesForMirrorsAndNoMore) {
  for (uint32_t alias = 1; alias <= 257; alias++) {
    say(topic(alias, 0, "a"));
    settle(1);
  }
  settle(4);
  EXPECT_EQ(show("lanes").size(), 256u);
  ASSERT_EQ(peer.refused.size(), 1u);
  EXPECT_EQ(peer.refused[0].alias, 257u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kFull);
  EXPECT_NE(log.find("256 mirrors here, half of the 512"), std::string::npos) << log;
}

TEST_F(Peer, IsHeard64TimesATurn) {
  for (uint64_t key = 0; key < 100; key++)
    say(wish(key, "a"));
  for (int i = 0; i < 8; i++)
    turn();
  node->poll(now);
  for (int i = 0; i < 8; i++)
    turn();
  EXPECT_EQ(peer.acknowledged.size(), 64u);
  settle(8);
  EXPECT_EQ(peer.acknowledged.size(), 100u);
}

TEST_F(Peer, WhoWantsTooManyFiltersIsCutOff) {
  for (uint64_t key = 0; key < 4096; key++) {
    say(wish(key, "a"));
    if (key % 32 == 31) settle(1);
  }
  settle(4);
  EXPECT_EQ(show("links")[0]["state"], "up") << log;
  EXPECT_EQ(peer.acknowledged.size(), 4096u);
  say(wish(0, "b"));  // in place of another
  settle(4);
  EXPECT_EQ(show("links")[0]["state"], "up") << log;
  say(wish(4096, "a"));
  settle(20);
  EXPECT_NE(show("links")[0]["state"], "up");
  EXPECT_NE(log.find("more than 4096 filters"), std::string::npos) << log;
}

}  // namespace
}  // namespace penstock
