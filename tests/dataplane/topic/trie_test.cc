#include "dataplane/topic/trie.h"

#include <gtest/gtest.h>
#include <set>

#include "dataplane/topic/filter.h"
#include "tests/dataplane/topic/random_topic.h"

namespace penstock {
namespace {

std::vector<int> collected(Trie<int>& trie, std::string_view topic) {
  std::vector<int> out;
  trie.collect(topic, [&](int v) { out.push_back(v); });
  std::ranges::sort(out);
  return out;
}

TEST(Trie, GivesEachValueOnceForEachFilter) {
  Trie<int> t;
  EXPECT_TRUE(t.insert("#.#.a.#", 1));
  EXPECT_TRUE(t.insert("a", 2));
  EXPECT_TRUE(t.insert("*", 3));
  EXPECT_TRUE(t.insert("b", 4));
  EXPECT_TRUE(t.insert("*", 2));
  EXPECT_FALSE(t.insert("*", 2)) << "already there";
  EXPECT_EQ(t.size(), 5u);
  EXPECT_EQ(collected(t, "a"), (std::vector{1, 2, 2, 3}));
  EXPECT_EQ(collected(t, "a.a.a"), (std::vector{1}));
  EXPECT_EQ(collected(t, "c.c"), std::vector<int>());
}

TEST(Trie, TakesNothingWhenEmpty) {
  Trie<int> t;
  EXPECT_TRUE(collected(t, "a").empty());
  EXPECT_FALSE(t.remove("a", 1));
  t.insert("a.b", 1);
  EXPECT_FALSE(t.remove("a", 1));
  EXPECT_FALSE(t.remove("a.b", 2));
  EXPECT_FALSE(t.remove("a.b.c", 1));
  EXPECT_TRUE(t.remove("a.b", 1));
  EXPECT_TRUE(t.empty());
  EXPECT_TRUE(collected(t, "a.b").empty());
}

TEST(Trie, AgreesWithMatchesThroughAnyChanges) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    SCOPED_TRACE(seed);
    std::mt19937_64 rng(seed);
    Trie<int> trie;
    std::set<std::pair<std::string, int>> model;
    for (int i = 0; i < 150; i++) {
      const std::string filter = random_words(rng, 4, 3);
      const int value = static_cast<int>(rng() % 4);
      if (rng() % 3 != 0) {
        ASSERT_EQ(trie.insert(filter, value), model.emplace(filter, value).second);
      } else {
        ASSERT_EQ(trie.remove(filter, value), model.erase({filter, value}) == 1);
      }
      ASSERT_EQ(trie.size(), model.size());
      const std::string topic = random_words(rng, 5, 0);
      std::vector<int> want;
      for (const auto& [f, v] : model) {
        if (matches(f, topic)) want.push_back(v);
      }
      std::ranges::sort(want);
      ASSERT_EQ(collected(trie, topic), want) << topic;
    }
    for (const auto& [f, v] : model)
      ASSERT_TRUE(trie.remove(f, v));
    ASSERT_TRUE(trie.empty());
  }
}

TEST(Trie, StaysCheapHoweverManyHashes) {
  Trie<int> t;
  std::string filter = "#", topic = "a";
  for (int i = 0; i < 60; i++)
    filter += ".a.#";
  for (int i = 0; i < 120; i++)
    topic += ".a";
  t.insert(filter, 1);
  EXPECT_EQ(collected(t, topic), std::vector{1});
  EXPECT_TRUE(collected(t, "b." + topic + ".b").size() == 1);
}

}  // namespace
}  // namespace penstock
