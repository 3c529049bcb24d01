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
  settle(6);
  hear(b);
  EXPECT_EQ(peer.refused.size(), 7u);
  EXPECT_EQ(peer.ready.size(), 1u);
  EXPECT_TRUE(b.joins.empty());
}

}  // namespace
}  // namespace penstock::test
