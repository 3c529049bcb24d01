#include "control/rights/rights.h"

#include <gtest/gtest.h>
#include <random>
#include <unistd.h>

#include "control/rights/covers.h"
#include "tests/dataplane/topic/slow_match.h"

namespace penstock {
namespace {

constexpr uint32_t bit(Right r) {
  return 1u << static_cast<uint32_t>(r);
}

Rule rule(std::string name, uint32_t uid, std::string tenant, std::string filter, uint32_t allow) {
  Rule r;
  r.name = std::move(name);
  r.uid = uid;
  r.tenant = std::move(tenant);
  r.filter = std::move(filter);
  r.allow.bits = allow;
  return r;
}

Principal user(uint32_t uid, std::vector<uint32_t> groups = {}) {
  return {.uid = uid, .groups = std::move(groups), .node = 0};
}

TEST(Rights, WithoutRulesThereIsOneTenantAndAllIsAllowed) {
  const Rights none;
  EXPECT_EQ(none.admit(user(7), "")->tenant, "default");
  EXPECT_EQ(none.admit(user(7), "default")->rule, "");
  EXPECT_NE(none.admit(user(7), "acme").error().find("no tenant 'acme'"), std::string::npos);
  EXPECT_EQ(none.refusal(user(7), "default", Right::kPublish, "a"), "");
  EXPECT_EQ(none.refusal({.node = 3}, "acme", Right::kSubscribe, "#"), "");
}

TEST(Rights, TheFirstRuleThatNamesTheTenantLetsIn) {
  Rule everybody = rule("all", 0, "public", "#", 0);
  everybody.everybody = true;
  everybody.uid.reset();
  Rule team = rule("team", 0, "acme", "#", 0);
  team.uid.reset();
  team.gid = 50;
  const Rights rights(
      {rule("first", 7, "acme", "#", 0), rule("second", 7, "lab", "#", 0), team, everybody});
  EXPECT_EQ(rights.admit(user(7), "")->rule, "first");
  EXPECT_EQ(rights.admit(user(7), "lab")->rule, "second");
  EXPECT_EQ(rights.admit(user(8, {4, 50}), "")->rule, "team");
  EXPECT_EQ(rights.admit(user(8, {4}), "")->rule, "all");
  EXPECT_EQ(rights.admit(user(7), "public")->tenant, "public");
  EXPECT_EQ(
      rights.admit(user(8), "acme").error(),
      "no rule lets uid 8 into tenant 'acme': add a [[rule]] with who = \"user:8\" and tenant = "
      "\"acme\" to the node's config, and reload it");
  const Rights few({rule("first", 7, "acme", "#", 0)});
  EXPECT_EQ(few.admit(user(8), "").error(),
            "no rule lets uid 8 in: add a [[rule]] with who = \"user:8\" to the node's config, and "
            "reload it");
  EXPECT_FALSE(few.admit(user(7), "default")) << "rules deny what they do not name";
}

TEST(Rights, ARefusalNamesTheRuleThatIsNearestOrTheOneThatIsMissing) {
  const Rights rights({rule("reads", 7, "acme", "#", bit(Right::kSubscribe)),
                       rule("writes", 7, "acme", "grad.#", bit(Right::kPublish))});
  EXPECT_EQ(rights.refusal(user(7), "acme", Right::kPublish, "grad.w"), "");
  EXPECT_EQ(rights.refusal(user(7), "acme", Right::kPublish, "weights"),
            "not permitted to publish 'weights' in tenant 'acme': rule 'writes' is for 'grad.#'; "
            "needs a [[rule]] with who = \"user:7\", allow = [\"publish\"]");
  EXPECT_EQ(rights.refusal(user(7), "acme", Right::kAdmin, ""),
            "not permitted to ask about the whole node in tenant 'acme': rule 'reads' does not "
            "allow it; needs a [[rule]] with who = \"user:7\", allow = [\"admin\"]");
  EXPECT_EQ(
      rights.refusal(user(7), "lab", Right::kSubscribe, "#"),
      "not permitted to subscribe '#' in tenant 'lab': no rule has who = \"user:7\" and tenant = "
      "\"lab\"; needs a [[rule]] with who = \"user:7\", allow = [\"subscribe\"]");
}

TEST(Rights, EveryRefusalFitsIntoAPacket) {
  const std::string longest(255, 'x'), tenant(32, 't');
  const Rights rights({rule(std::string(63, 'n'), UINT32_MAX - 1, tenant, longest, 7)});
  const auto refusal =
      rights.refusal(user(UINT32_MAX - 1), tenant, Right::kSubscribe, std::string(255, 'y'));
  EXPECT_NE(refusal, "");
  EXPECT_LE(refusal.size(), 240u);
  EXPECT_LE(rights.admit(user(UINT32_MAX - 2), tenant).error().size(), 255u);
  EXPECT_LE(Rights().admit(user(UINT32_MAX - 2), tenant).error().size(), 255u);
}

TEST(Rights, APeerIsLimitedOnceARuleNamesIt) {
  Rule r = rule("far", 0, "acme", "grad.#", bit(Right::kSubscribe));
  r.uid.reset();
  r.node = 3;
  const Rights rights({r, rule("own", 7, "acme", "#", 7)});
  EXPECT_EQ(rights.refusal({.node = 3}, "acme", Right::kSubscribe, "grad.*"), "");
  EXPECT_NE(rights.refusal({.node = 3}, "acme", Right::kSubscribe, "#"), "");
  EXPECT_NE(rights.refusal({.node = 3}, "acme", Right::kPublish, "grad.w"), "");
  EXPECT_NE(rights.refusal({.node = 3}, "default", Right::kSubscribe, "grad.*"), "");
  EXPECT_EQ(rights.refusal({.node = 4}, "default", Right::kSubscribe, "#"), "");
  EXPECT_FALSE(rights.admit(user(0), "")) << "a node's rule is no client's";
}

// Every decision, against one that looks at nothing but who, where, what.
TEST(Rights, IsWhatTheRulesSayOneByOne) {
  std::mt19937 mt(11);
  const auto rng = [&] { return static_cast<uint32_t>(mt()); };
  static constexpr const char* kTenants[] = {"acme", "lab", "default"};
  static constexpr const char* kFilters[] = {"#", "a.#", "*.b", "a", "#.b", "a.*"};
  static constexpr const char* kNames[] = {"a", "a.b", "b", "a.a.b", "c"};
  int yes = 0;
  for (int round = 0; round < 5000; round++) {
    std::vector<Rule> rules;
    for (size_t n = 1 + rng() % 4; n != 0; n--)
      rules.push_back(rule("r", rng() % 3, kTenants[rng() % 3], kFilters[rng() % 6], rng() % 8));
    for (Rule& r : rules) {
      if (rng() % 2 != 0) continue;
      r.gid = r.uid;
      r.uid.reset();
    }
    const Principal who = user(rng() % 3, {rng() % 3});
    const std::string tenant = kTenants[rng() % 3];
    const auto right = static_cast<Right>(rng() % 3);
    const std::string name = right == Right::kSubscribe ? kFilters[rng() % 6] : kNames[rng() % 5];
    bool want = false;
    for (const Rule& r : rules) {
      const bool him = r.uid ? *r.uid == who.uid : *r.gid == who.groups[0];
      const bool it = right == Right::kPublish     ? slow_match(r.filter, name)
                      : right == Right::kSubscribe ? covers(r.filter, name)
                                                   : true;
      want = want || (him && it && r.tenant == tenant && (r.allow.bits & bit(right)) != 0);
    }
    ASSERT_EQ(Rights(rules).refusal(who, tenant, right, name).empty(), want) << "round " << round;
    yes += want ? 1 : 0;
  }
  EXPECT_GT(yes, 200);
}

TEST(Rights, UsersAndGroupsOfThisHostAreFound) {
  const auto found = [](const char* who) {
    Rule r;
    r.who = who;
    EXPECT_EQ(find_who(r), "") << who;
    return r;
  };
  EXPECT_EQ(found("user:root").uid, 0u);
  EXPECT_EQ(found("group:root").gid, 0u);
  EXPECT_EQ(found("user:1234").uid, 1234u);
  EXPECT_EQ(found("node:3").node, 3u);
  EXPECT_TRUE(found("*").everybody);
  for (const char* who : {"", "root", "user", "user:", "user:no-such-user-here", "group:", "node:0",
                          "node:x", "user:4294967295", "**", "user: root"}) {
    Rule r;
    r.who = who;
    EXPECT_NE(find_who(r), "") << who;
    EXPECT_FALSE(r.uid || r.gid || r.node != 0 || r.everybody) << who;
  }
}

}  // namespace
}  // namespace penstock
