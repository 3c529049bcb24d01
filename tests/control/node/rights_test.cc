// Tenants, rules and limits of clients, played as guests on virtual time.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/control/node/rights_rig.h"

namespace penstock::test {
namespace {

TEST_F(RightsOfANode, TenantsShareNothing) {
  rules({rule("a", "acme"), rule("b", "lab"), rule("d", "default")});
  Guest writer, same, other, none, taker;
  enter(writer, "acme");
  enter(same, "acme");
  enter(other, "lab");
  enter(none, "default");
  enter(taker, "lab");
  subscribe(other, "#");
  subscribe(none, "#");
  subscribe(taker, "#", attach::Mode::kGroup);
  publish(writer, "grad.w");
  subscribe(same, "grad.*");
  EXPECT_EQ(same.joins.size(), 1u);
  EXPECT_EQ(other.joins.size(), 0u);
  EXPECT_EQ(none.joins.size(), 0u);
  EXPECT_EQ(taker.joins.size(), 1u) << "its inbox";
  EXPECT_EQ(show("lanes")[0]["readers"].size(), 1u);
  const auto clients = show("clients");
  EXPECT_EQ(clients[0]["tenant"], "acme");
  EXPECT_EQ(clients[2]["rule"], "b");
  // The same name in two of them is two topics, with a group of its own each.
  publish(other, "grad.w");
  EXPECT_EQ(same.joins.size(), 1u);
  EXPECT_EQ(other.joins.size(), 1u);
  EXPECT_EQ(none.joins.size(), 0u);
}

TEST_F(RightsOfANode, WhoHasNoRuleIsToldAndSentAway) {
  Rule stranger = rule("them", "acme");
  stranger.uid = getuid() + 1;
  rules({stranger});
  Guest g;
  enter(g, nullptr);
  EXPECT_EQ(code(g), Errc::kDenied);
  EXPECT_NE(said(g).find("no rule lets uid"), std::string::npos) << said(g);
  EXPECT_EQ(clients(), 0u);
  rules({rule("us", "acme")});
  enter(g, "lab");
  EXPECT_NE(said(g).find("into tenant 'lab'"), std::string::npos) << said(g);
  EXPECT_EQ(clients(), 0u);
  enter(g, nullptr);
  EXPECT_EQ(clients(), 1u);
}

TEST_F(RightsOfANode, ARefusalSaysWhichRuleWouldHaveTo) {
  rules({rule("w", "acme", "grad.#", kPublish), rule("r", "acme", "weights.#", kSubscribe)});
  Guest g;
  enter(g, nullptr);
  publish(g, "grad.w");
  EXPECT_EQ(said(g), "");
  add_topic(g, "weights.w", 1);
  EXPECT_EQ(code(g), Errc::kDenied);
  EXPECT_NE(said(g).find("publish 'weights.w' in tenant 'acme': rule 'w' is for 'grad.#'"),
            std::string::npos)
      << said(g);
  subscribe(g, "weights.*");
  EXPECT_EQ(g.subscriptions.size(), 1u);
  for (const char* wide : {"#", "*.w", "grad.w"}) {
    subscribe(g, wide);
    EXPECT_NE(said(g).find("rule 'r' is for 'weights.#'"), std::string::npos) << said(g);
  }
  subscribe(g, "#", attach::Mode::kGroup);
  EXPECT_EQ(g.subscriptions.size(), 1u);
  attach::Query q;
  peer::set_text(q.text, "clients");
  g.say(q);
  hear(g);
  EXPECT_NE(said(g).find("allow = [\"admin\"]"), std::string::npos) << said(g);
}

TEST_F(RightsOfANode, NobodySpellsHisWayIntoAnotherTenant) {
  rules({rule("a", "acme"), rule("b", "lab")});
  Guest victim, g;
  enter(victim, "lab");
  publish(victim, "x");
  enter(g, "acme");
  for (const char* filter :
       {" lab.x", " lab.#", "*.x", "#.x", "lab.x", "lab.#", " *.x", "", ". lab"})
    subscribe(g, filter);
  EXPECT_TRUE(g.joins.empty());
  publish(g, "y");
  const size_t before = g.errors.size();
  for (const char* name : {" lab.x", " acme.x", "", " "})
    add_topic(g, name, 1);
  EXPECT_EQ(g.errors.size(), before + 4);
  const std::string longest(255, 'x');
  add_topic(g, longest.c_str(), 1);
  EXPECT_EQ(code(g), Errc::kBadTopic);
  EXPECT_NE(said(g).find("has 249 at most"), std::string::npos) << said(g);
  add_topic(g, longest.substr(6).c_str(), 1);
  EXPECT_EQ(g.errors.size(), before + 5);
  EXPECT_EQ(clients(), 2u);
}

TEST_F(RightsOfANode, ATenantThatIsNoneEndsTheSession) {
  rules({rule("a", "acme")});
  for (const char* name :
       {"", " acme", "ac.me", "#", "acme\n", "012345678901234567890123456789012"}) {
    Guest g;
    enter(g, name);
    EXPECT_TRUE(!g.positions) << "'" << name << "'";
  }
  Guest g;
  g.attach(*node, now);
  attach::Tenant endless;
  std::memset(endless.name, 'a', sizeof endless.name);
  g.say(endless);
  hear(g);
  EXPECT_EQ(clients(), 0u);
  enter(g, "acme");
  attach::Tenant late;
  peer::set_text(late.name, "acme");
  g.say(late);
  hear(g);
  EXPECT_EQ(clients(), 0u) << "once it is in it stays where it is";
}

TEST_F(RightsOfANode, LimitsAreForAllThatAreHereByTheRule) {
  Rule few = rule("few", "acme");
  few.clients = 2;
  few.lanes = 2;
  few.bytes = 2 * HostilePeer::kLane.total_bytes();
  few.subscriptions = 2;
  rules({few, rule("free", "lab")});
  Guest a, b, c, d;
  enter(a, "acme");
  enter(b, "acme");
  enter(c, "acme");
  EXPECT_EQ(code(c), Errc::kFull);
  EXPECT_NE(said(c).find("rule 'few' allows 2 programs at once, and 2 are taken"),
            std::string::npos)
      << said(c);
  enter(d, "lab");
  publish(a, "x");
  publish(b, "x");
  EXPECT_EQ(said(b), "");
  subscribe(b, "jobs", attach::Mode::kGroup);
  EXPECT_NE(said(b).find("bytes of lanes and inboxes"), std::string::npos) << said(b);
  a.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
  hear(a);
  EXPECT_NE(said(a).find("allows 2 publishers and pushers, and 2 are taken"), std::string::npos)
      << said(a);
  subscribe(a, "y");
  subscribe(b, "y");
  subscribe(a, "z");
  EXPECT_NE(said(a).find("allows 2 subscriptions, and 2 are taken"), std::string::npos) << said(a);
  // What is given back can be had again.
  b.leave();
  settle(4);
  subscribe(a, "z");
  EXPECT_EQ(a.subscriptions.size(), 2u);
}

// Room that is left but too little is none; what a reader still holds is not given back.
TEST_F(RightsOfANode, BytesBoundThePublishersLanesAndAreGivenBackWhenTheyEnd) {
  const uint64_t one = HostilePeer::kLane.total_bytes();
  Rule few = rule("few", "acme");
  few.bytes = 2 * one + one / 2;
  rules({few, rule("free", "lab")});
  Guest writer, same, other;
  enter(writer, "acme");
  enter(same, "acme");
  enter(other, "lab");
  const auto declared = [&](Guest& g) {
    const size_t before = g.lanes.size();
    g.say(attach::Declare{.geometry = HostilePeer::kLane, .name = {}});
    hear(g);
    return g.lanes.size() == before + 1;
  };
  const std::string full =
      fmt::format("rule 'few' allows {} bytes of lanes and inboxes, and {} are taken: ", few.bytes,
                  2 * one) +
      "end some, or raise its bytes";
  publish(writer, "x");
  EXPECT_TRUE(declared(writer));
  for (Guest* g : {&writer, &same}) {
    EXPECT_FALSE(declared(*g));
    EXPECT_EQ(code(*g), Errc::kFull);
    EXPECT_EQ(said(*g), full);
  }
  for (int i = 0; i < 3; i++)
    EXPECT_TRUE(declared(other));
  // It ends, and is read still.
  subscribe(same, "x");
  ASSERT_EQ(same.joins.size(), 1u);
  writer.say(attach::CloseLane{.lane_id = writer.lanes[0].id});
  hear(writer);
  hear(same);
  EXPECT_FALSE(declared(writer));
  const attach::Join& join = same.joins[0];
  same.say(
      attach::Released{.lane_id = join.lane_id, .slot = join.slot, .generation = join.generation});
  hear(same);
  EXPECT_TRUE(declared(writer));
  EXPECT_FALSE(declared(writer));
  // As with all that it had, when it dies.
  writer.leave();
  settle(4);
  EXPECT_TRUE(declared(same));
  EXPECT_TRUE(declared(same));
  EXPECT_FALSE(declared(same));
  EXPECT_EQ(said(same), full);
}

// The other client is answered in the very poll in which it asks.
TEST_F(RightsOfANode, AHundredThousandSubscriptionsEndAtTheLimitAndStallNobody) {
  Rule r = rule("few", "acme");
  r.subscriptions = 200;
  rules({r, rule("free", "lab")});
  Guest greedy, other;
  enter(greedy, "acme");
  enter(other, "lab");
  size_t errors = 0, answers = 0, rounds = 0;
  for (uint32_t i = 0; i < 100'000;) {
    for (int n = 0; n < 50; n++, i++) {
      attach::Subscribe m;
      peer::set_text(m.filter, "t" + std::to_string(i));
      greedy.say(m);
    }
    other.say(attach::Unsubscribe{.subscription = 1'000'000});
    node->poll(now += 1000);
    rounds++;
    while (other.hear()) {
    }
    answers += std::exchange(other.errors, {}).size();
    while (greedy.hear()) {
    }
    for (const attach::Error& e : std::exchange(greedy.errors, {}))
      errors += std::string_view(e.text).starts_with("rule 'few' allows 200 subscriptions") ? 1 : 0;
  }
  hear(greedy);
  EXPECT_EQ(greedy.subscriptions.size(), 200u);
  EXPECT_EQ(errors, 100'000u - 200u);
  EXPECT_EQ(answers, rounds);
}

TEST_F(RightsOfANode, WhatIsTakenAwayEndsAndIsTold) {
  rules({rule("a", "acme"), rule("b", "lab")});
  Guest writer, reader, puller, other;
  enter(writer, "acme");
  enter(reader, "acme");
  enter(puller, "acme");
  enter(other, "lab");
  publish(writer, "grad.w");
  subscribe(reader, "#");
  subscribe(puller, "#", attach::Mode::kGroup);
  publish(other, "grad.w");
  subscribe(other, "#");
  ASSERT_EQ(reader.joins.size(), 1u);
  // They may still be there, and publish and subscribe something else.
  rules({rule("a", "acme", "weights.#"), rule("b", "lab")});
  for (Guest* g : {&writer, &reader, &puller, &other})
    hear(*g);
  EXPECT_NE(said(writer).find("not permitted to publish 'grad.w'"), std::string::npos);
  for (Guest* g : {&reader, &puller}) {
    ASSERT_EQ(g->ended.size(), 1u);
    EXPECT_NE(std::string_view(g->ended[0].text).find("rule 'a' is for 'weights.#'"),
              std::string_view::npos);
    EXPECT_FALSE(g->leaves.empty());
  }
  EXPECT_EQ(show("lanes")[0]["closed"], "publisher left");
  EXPECT_TRUE(other.ended.empty());
  EXPECT_TRUE(other.errors.empty());
  add_topic(writer, "weights.v", 1);
  EXPECT_EQ(code(writer), Errc::kClosed) << "it may not have heard yet";
  EXPECT_EQ(clients(), 4u);
  writer.lanes.clear();
  publish(writer, "weights.w");
  subscribe(reader, "weights.*");
  EXPECT_EQ(reader.joins.size(), 2u);
  // And then not even that.
  rules({rule("b", "lab")});
  for (Guest* g : {&writer, &reader, &puller, &other})
    hear(*g);
  EXPECT_EQ(clients(), 1u);
  EXPECT_NE(said(reader).find("into tenant 'acme'"), std::string::npos) << said(reader);
  EXPECT_TRUE(other.errors.empty());
}

// Neither the publisher nor the reader does what it is asked to: the lane ends all the same.
TEST_F(RightsOfANode, ALaneThatWasTakenAwayEndsWhoeverGoesOnWriting) {
  rules({rule("a", "acme")});
  Guest writer, reader;
  enter(writer, "acme");
  enter(reader, "acme");
  publish(writer, "grad.w");
  subscribe(reader, "#");
  ASSERT_EQ(reader.joins.size(), 1u);
  rules({rule("r", "acme", "#", kSubscribe)});
  for (int i = 0; i < 12; i++) {
    now += Node::kTickNs;
    settle(1);
  }
  const auto lanes = show("lanes");
  ASSERT_EQ(lanes.size(), 1u) << "the reader has not let go";
  EXPECT_EQ(lanes[0]["readers"][0]["mode"], "evicted");
  EXPECT_NE(lanes[0]["closed"], "");
}

// The same when it lost its tenant, and is no client any more.
TEST_F(RightsOfANode, ALaneOfWhoWasSentAwayEndsToo) {
  rules({rule("a", "acme")});
  Guest writer, reader;
  enter(writer, "acme");
  enter(reader, "acme");
  publish(writer, "grad.w");
  subscribe(reader, "#");
  LaneWriter lane(writer.lanes[0].memory.data(), HostilePeer::kLane, nullptr);
  rules({});
  for (int i = 0; i < 12; i++) {
    (void)lane.send({}, std::vector<std::byte>(8));
    now += Node::kTickNs;
    settle(1);
  }
  EXPECT_EQ(clients(), 0u);
  for (int i = 0; i < 4; i++) {
    now += Node::kTickNs;
    settle(1);
  }
  EXPECT_TRUE(show("lanes").empty()) << show("lanes").dump();
}

TEST_F(RightsOfANode, APublishersNameIsItsOwn) {
  Guest writer, reader;
  enter(writer, nullptr);
  enter(reader, nullptr);
  attach::Declare d{.geometry = HostilePeer::kLane, .name = {}};
  peer::set_text(d.name, " a.b");
  writer.say(d);
  hear(writer);
  ASSERT_EQ(writer.lanes.size(), 1u);
  writer.say(attach::Mapped{.lane_id = writer.lanes[0].id});
  add_topic(writer, "t");
  subscribe(reader, "t");
  ASSERT_EQ(reader.joins.size(), 1u);
  EXPECT_EQ(peer::text(reader.joins[0].publisher), " a.b");
}

TEST_F(RightsOfANode, WithoutRulesAgainThereIsNoTenant) {
  rules({rule("a", "acme"), rule("d", "default")});
  Guest a, d;
  enter(a, "acme");
  enter(d, "default");
  rules({});
  hear(a);
  hear(d);
  EXPECT_NE(said(a).find("no tenant 'acme'"), std::string::npos) << said(a);
  EXPECT_EQ(clients(), 1u);
}

}  // namespace
}  // namespace penstock::test
