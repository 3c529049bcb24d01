#include "control/rights/covers.h"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "dataplane/topic/filter.h"
#include "tests/dataplane/topic/slow_match.h"

namespace penstock {
namespace {

TEST(Covers, WhatLiesWithin) {
  for (const auto& [outer, inner] :
       std::vector<std::pair<const char*, const char*>>{{"#", "#"},
                                                        {"#", "a.*.b"},
                                                        {"a.#", "a"},
                                                        {"a.#", "a.#"},
                                                        {"a.#", "a.*.#"},
                                                        {"*", "a"},
                                                        {"*.#", "#.*"},
                                                        {"*.#", "#"},
                                                        {"#.*", "*.#"},
                                                        {"#.a.#", "b.*.a"},
                                                        {"a.*", "a.b"}})
    EXPECT_TRUE(covers(outer, inner)) << outer << " " << inner;
  for (const auto& [outer, inner] :
       std::vector<std::pair<const char*, const char*>>{{"a", "*"},
                                                        {"a.#", "#"},
                                                        {"*", "#"},
                                                        {"a.*", "a.#"},
                                                        {"a.*", "a.*.#"},
                                                        {"a.b", "a.*"},
                                                        {"#.a", "#"},
                                                        {"#.a.#", "#.*.#"},
                                                        {"a", "a.b"},
                                                        {"a.b", "a"}})
    EXPECT_FALSE(covers(outer, inner)) << outer << " " << inner;
}

std::string random_filter(std::mt19937& rng, size_t most) {
  static constexpr const char* kWords[] = {"a", "b", "*", "#"};
  std::string s;
  for (size_t n = 1 + rng() % most; n != 0; n--)
    s += std::string(s.empty() ? "" : ".") + kWords[rng() % 4];
  return s;
}

// Every topic of up to six words of two that filters name and one that none does.
std::vector<std::string> topics() {
  std::vector<std::string> all{"a", "b", "c"};
  for (size_t i = 0; all.size() < 3 + 9 + 27 + 81 + 243 + 729; i++)
    for (const char* word : {".a", ".b", ".c"})
      all.push_back(all[i] + word);
  return all;
}

TEST(Covers, IsWhatAllTopicsSay) {
  const auto all = topics();
  std::mt19937 rng(7);
  int within = 0;
  for (int i = 0; i < 3000; i++) {
    const std::string outer = random_filter(rng, 4), inner = random_filter(rng, 4);
    bool want = true;
    for (const std::string& t : all)
      want = want && (!slow_match(inner, t) || slow_match(outer, t));
    ASSERT_EQ(covers(outer, inner), want) << outer << " " << inner;
    within += want ? 1 : 0;
  }
  EXPECT_GT(within, 100);  // of both kinds
  EXPECT_LT(within, 2900);
}

// As long as filters may be: an answer, and not one that gives a right away.
TEST(Covers, AnswersWhateverTheFilters) {
  std::string outer, inner;
  for (int i = 0; i < 63; i++) {
    outer += "#.a.";
    inner += "#.*.";
  }
  EXPECT_FALSE(covers(outer + "b", inner + "c"));
  EXPECT_TRUE(covers("#", inner + "c"));
}

}  // namespace
}  // namespace penstock
