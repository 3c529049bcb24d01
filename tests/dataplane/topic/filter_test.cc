#include "dataplane/topic/filter.h"

#include <gtest/gtest.h>

#include "tests/dataplane/topic/random_topic.h"
#include "tests/dataplane/topic/slow_match.h"

namespace penstock {
namespace {

TEST(Filter, TakesWhatTheDesignSays) {
  const struct {
    const char* filter;
    const char* topic;
    bool match;
  } kRows[] = {
      {"a", "a", true},
      {"a", "b", false},
      {"a", "a.b", false},
      {"a.b", "a", false},
      {"ab", "a", false},
      {"a", "ab", false},
      {"*", "a", true},
      {"*", "a.b", false},
      {"*.*", "a.b", true},
      {"*.*", "a", false},
      {"grad.*.w", "grad.layer3.w", true},
      {"grad.*.w", "grad.w", false},
      {"grad.*.w", "grad.a.b.w", false},
      {"#", "a", true},
      {"#", "a.b.c", true},
      {"a.#", "a", true},
      {"a.#", "a.b.c", true},
      {"a.#", "ab", false},
      {"#.a", "a", true},
      {"#.a", "a.b.a", true},
      {"#.a", "a.b", false},
      {"a.#.b", "a.b", true},
      {"a.#.b", "a.x.y.b", true},
      {"a.#.b", "a.b.c", false},
      {"#.*", "a", true},
      {"*.#", "a", true},
      {"#.*.#", "a", true},
      {"#.*.*.#", "a", false},
      {"#.#", "a", true},
      {"#.a.#.b.#", "x.a.y.b.z", true},
      {"#.a.#.b.#", "x.b.y.a.z", false},
      {"#.a.b", "a.a.b", true},
      {"#.a.*.b", "a.a.a.b", true},
  };
  for (const auto& r : kRows)
    EXPECT_EQ(matches(r.filter, r.topic), r.match) << r.filter << ' ' << r.topic;
}

TEST(Filter, AgreesWithTheDefinition) {
  int taken = 0;
  for (uint64_t seed = 0; seed < 20000; seed++) {
    std::mt19937_64 rng(seed);
    const std::string filter = random_words(rng, 7, 4);
    const std::string topic = random_words(rng, 9, 0);
    ASSERT_TRUE(valid_filter(filter));
    ASSERT_EQ(matches(filter, topic), slow_match(filter, topic))
        << "seed " << seed << ": " << filter << ' ' << topic;
    taken += matches(filter, topic) ? 1 : 0;
  }
  EXPECT_GT(taken, 2000) << "too few to mean anything";
}

TEST(Filter, StaysCheapHoweverManyHashes) {
  std::string filter, topic;
  for (int i = 0; i < 63; i++)
    filter += "#.a.";
  for (int i = 0; i < 127; i++)
    topic += "a.";
  EXPECT_FALSE(matches(filter + "b", topic + "c"));
  EXPECT_TRUE(matches(filter + "c", topic + "c"));
}

TEST(Filter, AnswersForAnything) {
  for (const char* odd : {"", ".", "..", "#..#", ".#", "*."}) {
    for (const char* topic : {"", ".", "a..b", "#"})
      matches(odd, topic);
  }
}

}  // namespace
}  // namespace penstock
