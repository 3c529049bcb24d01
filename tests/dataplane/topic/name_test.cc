#include "dataplane/topic/name.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "dataplane/topic/filter.h"

namespace penstock {
namespace {

TEST(TopicName, IsWordsBetweenDots) {
  for (const char* good : {"a", "grad.layer3.w", "A-Z_0-9", "a/b:c", "~.!", "x.y.z.x.y.z"}) {
    EXPECT_TRUE(valid_topic(good)) << good;
    EXPECT_TRUE(valid_filter(good)) << good;
  }
  for (const char* bad :
       {"", ".", "a.", ".a", "a..b", "a b", " a", "a\t", "a\n", "\x7f", "gr\xc3\xb6"}) {
    EXPECT_FALSE(valid_topic(bad)) << bad;
    EXPECT_FALSE(valid_filter(bad)) << bad;
  }
  EXPECT_FALSE(valid_topic(std::string_view("a\0b", 3)));
}

TEST(TopicName, HasNoWildcards) {
  for (const char* filter : {"*", "#", "a.*", "#.a", "*.#.*"}) {
    EXPECT_FALSE(valid_topic(filter)) << filter;
    EXPECT_TRUE(valid_filter(filter)) << filter;
  }
  for (const char* neither : {"a*", "*a", "##", "**", "a.#b", "*#"}) {
    EXPECT_FALSE(valid_topic(neither)) << neither;
    EXPECT_FALSE(valid_filter(neither)) << neither;
  }
}

TEST(TopicName, HasAtMost255Bytes) {
  for (const size_t n : {254u, 255u, 256u, 100000u}) {
    const std::string name(n, 'x');
    EXPECT_EQ(valid_topic(name), n <= 255) << n;
    EXPECT_EQ(valid_filter(name), n <= 255) << n;
  }
}

TEST(NextWord, GivesEveryWordInTurn) {
  std::vector<std::string> got;
  std::string_view rest = "a.bc..d.";
  for (std::string_view word; next_word(rest, word);)
    got.emplace_back(word);
  EXPECT_EQ(got, (std::vector<std::string>{"a", "bc", "", "d", ""}));
}

}  // namespace
}  // namespace penstock
