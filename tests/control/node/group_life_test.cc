// Groups that are left, joined again, and refused: nobody is held back by one that is empty.
#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <vector>

#include "tests/control/node/node_rig.h"
#include "tests/control/node/peer_rig.h"
#include "tests/support/many_files.h"

namespace penstock {
namespace {

void wait_until_no_lane_is_left(TwoNodes& nodes) {
  for (int i = 0; i < 2000 && nodes.show(0, "lanes") != "[]"; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_EQ(nodes.show(0, "lanes"), "[]");
}

class GroupByTurns : public test::PeerRig {
 protected:
  // By the group.
  int lanes_read() {
    int n = 0;
    for (const auto& lane : show("lanes"))
      for (const auto& r : lane["readers"])
        n += lane["kind"] == "lane" && r["kind"] == "group" ? 1 : 0;
    return n;
  }
  // Of what publishers sent, for want of a member.
  uint64_t dropped() {
    uint64_t n = 0;
    for (const auto& lane : show("lanes"))
      if (lane["kind"] == "lane") n += lane["left"]["dropped"].value("no_member", uint64_t{0});
    return n;
  }
};

bool in_inbox(TwoNodes& nodes, uint64_t messages) {
  for (const auto& lane : nlohmann::json::parse(nodes.show(0, "lanes")))
    if (lane["kind"] == "inbox" && lane["sent"] == messages) return true;
  return false;
}

TEST(GroupLife, WhoLeftBeforeTheFirstPublisherHoldsNobodyBack) {
  TwoNodes nodes;
  auto c = attach_to(nodes, 0, "c");
  { auto puller = c.puller("jobs"); }
  wait_until_no_lane_is_left(nodes);
  auto publisher = c.publisher();
  const auto topic = publisher->topic("jobs");
  for (uint32_t i = 0; i < 200; i++)  // three laps of the ring
    ASSERT_EQ(publisher->send(*topic, payload(i, 8)), PENSTOCK_OK) << i << nodes.describe();
}

TEST(GroupLife, WhoLeavesAndComesBackAtOnceGetsEverything) {
  TwoNodes nodes;
  wait_up(nodes);
  auto c = attach_to(nodes, 0, "c");
  auto pusher = c.pusher();
  const auto topic = pusher->topic("jobs");
  for (int side = 0; side < 2; side++) {
    auto p = attach_to(nodes, side, "p");
    for (int i = 0; i < 200; i++)
      auto puller = p.puller("jobs");
    auto puller = p.puller("jobs");
    ASSERT_TRUE(puller) << pen::last_error();
    send_all(*pusher, *topic, 20);
    expect_all(*puller, 20);
  }
  expect_identity(nodes);
}

// What a puller was shown is its own, however it goes.
TEST(GroupLife, WhatAPullerWasShownBeforeItsClientClosedIsNotGivenToAnother) {
  TwoNodes nodes;
  auto c = attach_to(nodes, 0, "c");
  auto pusher = c.pusher();
  const auto topic = pusher->topic("jobs");
  auto p = attach_to(nodes, 0, "p");
  auto gone = p.puller("jobs");
  send_all(*pusher, *topic, 2);
  auto q = attach_to(nodes, 0, "q");
  auto stays = q.puller("jobs");
  expect_all(*gone, 1);
  p = pen::Client();  // and its puller after it
  expect_all(*stays, 2, 100, 1);
  expect_nothing(*stays);
  expect_identity(nodes);
}

// Loaned while there was a puller, committed when there was none, and then the pusher goes.
TEST(GroupLife, WhatNobodyCanGetAnyMoreIsInTheBooks) {
  TwoNodes nodes;
  auto c = attach_to(nodes, 0, "c");
  {
    auto pusher = c.pusher();
    const auto topic = pusher->topic("jobs");
    std::span<std::byte> loan;
    {
      auto puller = c.puller("jobs");
      send_all(*pusher, *topic, 1);
      expect_all(*puller, 1);
      loan = *pusher->loan(8);
    }
    for (int i = 0; i < 2000; i++) {
      const auto all = nlohmann::json::parse(nodes.show(0, "lanes"));
      if (all.size() == 1 && all[0]["readers"].empty()) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::memcpy(loan.data(), "8 bytes.", 8);
    ASSERT_EQ(pusher->commit(*topic, 8), PENSTOCK_OK);
  }
  wait_until_no_lane_is_left(nodes);
  EXPECT_EQ(nlohmann::json::parse(nodes.show(0, "drops"))["no_member"], 1);
}

// An inbox is read on its own node only: a puller at a peer cannot get what is in there.
TEST(GroupLife, WhatTheLastPullerHereLeavesIsNotKeptForOneAtAPeer) {
  TwoNodes nodes;
  wait_up(nodes);
  auto c = attach_to(nodes, 0, "c");
  auto pusher = c.pusher();
  const auto topic = pusher->topic("jobs");
  auto far = attach_to(nodes, 1, "far");
  std::optional<pen::Puller> there;
  {
    auto here = c.puller("jobs");
    send_all(*pusher, *topic, 5);
    there = std::move(*far.puller("jobs"));
    for (int i = 0; i < 2000 && !in_inbox(nodes, 5); i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (int i = 0; i < 2000 && nodes.show(0, "lanes").find("inbox") != std::string::npos; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(nodes.show(0, "lanes").find("inbox"), std::string::npos) << nodes.describe();
  EXPECT_EQ(nlohmann::json::parse(nodes.show(0, "drops"))["no_member"], 5);
  send_all(*pusher, *topic, 3);
  expect_all(*there, 3);
  expect_identity(nodes);
}

// There are 512 places for what a node itself writes.
TEST(GroupLife, WhoFindsNoPlaceForAnInboxIsToldAndTheOthersGoOn) {
  test::allow_many_files();
  TwoNodesConfig config;
  config.inbox = {.ring_log2 = 2, .arena_log2 = 12, .topics = 2};
  TwoNodes nodes(config);
  std::vector<pen::Client> clients;
  std::vector<pen::Puller> pullers;
  penstock_code code = PENSTOCK_OK;
  for (int k = 0; k < 3; k++)
    clients.push_back(attach_to(nodes, 0, ("c" + std::to_string(k)).c_str()));
  for (int i = 0; i < 600 && code == PENSTOCK_OK; i++) {
    auto p = clients[static_cast<size_t>(i / 200)].puller(("g" + std::to_string(i)).c_str());
    code = p.code();
    if (p) pullers.push_back(std::move(*p));
  }
  EXPECT_EQ(code, PENSTOCK_FULL);
  EXPECT_EQ(clients[2].puller("more").code(),
            PENSTOCK_FULL);  // the refused one took nobody's place
  pullers.pop_back();
  auto pusher = clients[0].pusher();
  const auto topic = pusher->topic("g0");
  send_all(*pusher, *topic, 20, 8);
  expect_all(pullers[0], 3, 8);
}

// Its last member leaves and the next comes, a turn later each time: a turn in which the group has
// let go of one lane and not of the other is among them.
TEST_F(GroupByTurns, WhoComesWhileTheGroupLetsGoOfItsLanesGetsAllOfThem) {
  test::Guest publisher;
  test::Guest member;
  peer.hang_up(now);
  settle(8);
  enter(publisher);
  enter(member);
  for (size_t i = 0; i < 2; i++) {
    publisher.say(attach::Declare{.geometry = test::HostilePeer::kLane, .name = {}});
    settle(1);
    while (publisher.hear()) {
    }
    attach::AddTopic t;
    t.lane_id = publisher.lanes.at(i).id;
    publisher.say(attach::Mapped{.lane_id = t.lane_id});
    peer::set_text(t.name, "t");
    publisher.say(t);
    settle(1);
  }
  attach::Subscribe join;
  join.mode = attach::Mode::kGroup;
  join.inbox = test::HostilePeer::kLane;
  peer::set_text(join.filter, "t");
  LaneWriter lane(publisher.lanes[0].memory.data(), test::HostilePeer::kLane, nullptr);
  for (int turns = 0; turns < 24; turns++) {
    member.say(join);
    node->poll(now);
    const uint64_t before = dropped();
    ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
    settle(20);
    ASSERT_EQ(dropped(), before) << "it came after " << turns << " turns: " << show("lanes");
    while (member.hear()) {
    }
    ASSERT_EQ(lanes_read(), 2) << "it came after " << turns << " turns: " << show("lanes");
    member.say(attach::Unsubscribe{.subscription = member.subscriptions.back()});
    node->poll(now);
    for (int i = 0; i < turns; i++) {
      node->worker(0).turn(now);
      node->poll(now);
    }
  }
}

}  // namespace
}  // namespace penstock
