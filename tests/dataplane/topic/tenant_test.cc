#include "dataplane/topic/tenant.h"

#include <gtest/gtest.h>

#include "dataplane/topic/filter.h"
#include "dataplane/topic/name.h"
#include "dataplane/topic/trie.h"
#include "tests/dataplane/topic/random_topic.h"

namespace penstock {
namespace {

TEST(Tenant, StandsBeforeTheNameAndComesOffAgain) {
  EXPECT_EQ(in_tenant("acme", "grad.*.w"), " acme.grad.*.w");
  EXPECT_EQ(in_tenant("default", "grad.w"), "grad.w");
  EXPECT_EQ(tenant_of(" acme.grad.w"), "acme");
  EXPECT_EQ(bare_name(" acme.grad.w"), "grad.w");
  EXPECT_EQ(tenant_of("grad.w"), "default");
  EXPECT_EQ(bare_name("grad.w"), "grad.w");
}

TEST(Tenant, NoClientCanSpellOne) {
  for (const char* name : {" acme.grad", " .grad", " acme", "a. acme.b", " "}) {
    EXPECT_FALSE(valid_topic(name)) << name;
    EXPECT_FALSE(valid_filter(name)) << name;
  }
}

TEST(Tenant, TakesItsShareOfTheBytes) {
  const std::string longest(kMaxTopicBytes, 'a');
  EXPECT_EQ(in_tenant("default", longest), longest);
  EXPECT_EQ(in_tenant("acme", longest), "");
  EXPECT_EQ(in_tenant("acme", std::string(kMaxTopicBytes - 6, 'a')).size(), kMaxTopicBytes);
}

TEST(Tenant, WhatAPeerSaysIsLookedAt) {
  EXPECT_TRUE(valid_tenant_topic("grad.w"));
  EXPECT_TRUE(valid_tenant_topic(" acme.grad.w"));
  EXPECT_TRUE(valid_tenant_filter(" acme.#"));
  const std::string long_word = " " + std::string(kMaxTenantBytes + 1, 'a') + ".x";
  for (const std::string& name :
       {std::string(), std::string(" "), std::string(" acme"), std::string(" acme."),
        std::string(" .x"), std::string("  acme.x"), std::string(" default.x"),
        std::string(" ac me.x"), std::string(" *.x"), std::string(" #.x"),
        std::string(" acme.a..b"), std::string(" acme. other.x"), long_word,
        " acme." + std::string(kMaxTopicBytes, 'a')}) {
    EXPECT_FALSE(valid_tenant_topic(name)) << name;
    EXPECT_FALSE(valid_tenant_filter(name)) << name;
  }
  EXPECT_FALSE(valid_tenant_topic(" acme.#"));
}

// Whatever the wildcards: within a tenant as without one, across tenants never.
TEST(Tenant, NoFilterTakesATopicOfAnother) {
  const std::string tenants[] = {"default", "acme", "ab"};
  int within = 0;
  for (uint64_t seed = 0; seed < 5000; seed++) {
    std::mt19937_64 rng(seed);
    const std::string filter = random_words(rng, 5, 5), topic = random_words(rng, 5, 0);
    const std::string& mine = tenants[rng() % 3];
    const std::string& theirs = tenants[rng() % 3];
    const bool want = mine == theirs && matches(filter, topic);
    const std::string f = in_tenant(mine, filter), t = in_tenant(theirs, topic);
    ASSERT_EQ(matches(f, t), want) << "seed " << seed << ": '" << f << "' '" << t << "'";
    Trie<int> trie;
    trie.insert(f, 1);
    int found = 0;
    trie.collect(t, [&](int) { found++; });
    ASSERT_EQ(found, want ? 1 : 0) << "seed " << seed << ": '" << f << "' '" << t << "'";
    within += want ? 1 : 0;
  }
  EXPECT_GT(within, 300) << "too few to mean anything";
}

}  // namespace
}  // namespace penstock
