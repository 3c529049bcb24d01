// Tenants and rules between nodes: the peer is played by hand, on virtual time.
#include <gtest/gtest.h>

#include "tests/control/node/rights_rig.h"

namespace penstock::test {
namespace {

TEST_F(RightsOfANode, APeerGetsWhatItsFilterNames) {
  rules({rule("a", "acme"), rule("d", "default")});
  Guest a, d;
  enter(a, "acme");
  enter(d, "default");
  publish(a, "grad.w");
  publish(d, "grad.w");
  say(wish(1, "#"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  EXPECT_EQ(peer::text(peer.asked[0].name), "grad.w");
  say(wish(2, " acme.#"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 2u);
  EXPECT_EQ(peer::text(peer.asked[1].name), " acme.grad.w");
  for (const char* nonsense : {" #", " *.#", " .#", "  acme.#", " default.#", " acme"})
    say(wish(3, nonsense));
  settle(4);
  EXPECT_EQ(peer.asked.size(), 2u);
}

TEST_F(RightsOfANode, APeerWithARuleGetsAndSendsWhatItSays) {
  const auto own = {rule("a", "acme"), rule("d", "default")};
  std::vector<Rule> some(own), all(own);
  some.push_back(node_rule("acme", "grad.#", kAll));
  rules(some);
  Guest a, d;
  enter(a, "acme");
  enter(d, "default");
  publish(a, "grad.w");
  publish(d, "grad.w");
  subscribe(a, "#");
  subscribe(d, "#");
  say(wish(1, "#"));
  say(wish(2, " acme.#"));
  say(wish(3, " acme.grad.*"));
  settle(4);
  EXPECT_EQ(peer.acknowledged.size(), 0u) << "the one that it may have waits for its lane";
  ASSERT_EQ(peer.asked.size(), 1u);
  EXPECT_EQ(peer::text(peer.asked[0].name), " acme.grad.w");
  EXPECT_NE(log.find("node 2 (hostile): not permitted to subscribe '#' in tenant 'default'"),
            std::string::npos)
      << log;
  say(topic(1, 0, " acme.grad.x"));
  say(topic(1, 1, " acme.weights"));
  say(topic(2, 0, "grad.x"));
  settle(6);
  EXPECT_EQ(peer.ready.size(), 1u);
  ASSERT_EQ(peer.refused.size(), 2u);
  EXPECT_EQ(static_cast<Errc>(peer.refused[0].code), Errc::kDenied);
  EXPECT_EQ(peer.refused[0].topic, 1u);
  // What it has and may not have any more ends; what it wished for and may have now begins.
  all.push_back(node_rule("default", "#", kSubscribe));
  rules(all);
  settle(6);
  EXPECT_EQ(peer.asked.size(), 2u);
  EXPECT_EQ(peer::text(peer.asked.back().name), "grad.w");
  EXPECT_EQ(peer.closed.size(), 1u);
  ASSERT_EQ(peer.refused.size(), 3u);
  EXPECT_EQ(peer.refused[2].alias, 1u);
}

TEST_F(RightsOfANode, AMirrorIsOfOneTenant) {
  rules({rule("a", "acme"), rule("b", "lab")});
  Guest a, b;
  enter(a, "acme");
  enter(b, "lab");
  subscribe(a, "#");
  subscribe(b, "#");
  say(topic(1, 0, " acme.x"));
  settle(4);
  EXPECT_EQ(peer.ready.size(), 1u);
  hear(a);
  EXPECT_EQ(a.joins.size(), 1u);
  for (const char* name : {" lab.x", "x", " acme", " ac me.x", " default.x", ""})
    say(topic(1, 1, name));
  auto grouped = topic(2, 0, " acme.x");
  grouped.mode = attach::Mode::kGroup;
  peer::set_text(grouped.group, " lab.#");
  say(grouped);
  peer::set_text(grouped.group, " acme.y");  // whose members asked for something else
  say(grouped);
  settle(6);
  hear(b);
  EXPECT_EQ(peer.refused.size(), 8u);
  EXPECT_EQ(peer.ready.size(), 1u);
  EXPECT_TRUE(b.joins.empty());
}

// It keeps nothing that way when the right to the first goes.
TEST_F(RightsOfANode, AKeyThatIsUsedAgainEndsWhatItStoodFor) {
  rules({rule("d", "default"), node_rule("default", "#", kSubscribe)});
  Guest g;
  enter(g, "default");
  publish(g, "a");
  say(wish(1, "a"));
  settle(4);
  ASSERT_EQ(peer.asked.size(), 1u);
  peer::LaneReady ready;
  ready.alias = peer.asked[0].alias;
  ready.epoch = 1;
  ready.mirror = HostilePeer::kLane;
  say(ready);
  settle(4);
  EXPECT_TRUE(peer.closed.empty());
  say(wish(1, "b"));
  settle(6);
  EXPECT_EQ(peer.closed.size(), 1u);
}

// A peer has members, and its rules do not let the topic in: nobody waits for that.
TEST_F(RightsOfANode, AGroupWhosePeerRefusesTheTopicHoldsNobodyUp) {
  for (const uint32_t what : {0u, UINT32_MAX}) {  // the topic, the whole lane
    SCOPED_TRACE(what);
    Guest g;
    enter(g, nullptr);
    publish(g, what == 0 ? "t" : "u");
    auto group = wish(1 + what % 2, what == 0 ? "t" : "u");
    group.mode = attach::Mode::kGroup;
    peer.asked.clear();
    say(group);
    settle(4);
    ASSERT_EQ(peer.asked.size(), 1u);
    LaneWriter lane(g.lanes[0].memory.data(), HostilePeer::kLane, nullptr);
    (void)lane.add_topic(what == 0 ? "t" : "u");
    const auto send = [&](int count) {
      for (int i = 0; i < count; i++)
        ASSERT_EQ(lane.send({}, std::vector<std::byte>(8)), Errc::kOk);
      settle(6);
    };
    const auto refused = [&] { return show("drops").value("refused", 0); };
    const int before = refused();
    send(3);
    EXPECT_EQ(refused(), before) << "it is not known yet";
    peer::LaneRefused no;
    no.alias = peer.asked[0].alias;
    no.epoch = 1;
    no.topic = what;
    no.code = static_cast<uint32_t>(Errc::kDenied);
    say(no);
    settle(6);
    send(2);
    EXPECT_EQ(refused(), before + 5);
    // Who comes now gets what comes now.
    Guest taker;
    enter(taker, nullptr);
    subscribe(taker, what == 0 ? "t" : "u", attach::Mode::kGroup);
    ASSERT_EQ(taker.joins.size(), 1u);
    send(1);
    EXPECT_EQ(refused(), before + 5);
  }
}

}  // namespace
}  // namespace penstock::test
