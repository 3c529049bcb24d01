// The rules of the link, each a file of packets and times in scripts/: a case for each.
#include "tests/dataplane/link/script.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>

namespace penstock {
namespace {

std::vector<std::string> scripts() {
  std::vector<std::string> names;
  for (const auto& e : std::filesystem::directory_iterator(SCRIPTS))
    if (e.path().extension() == ".txt") names.push_back(e.path().stem().string());
  std::ranges::sort(names);
  return names;
}

class Scripts : public ::testing::TestWithParam<std::string> {};

TEST_P(Scripts, Hold) {
  const std::string why = test::Script::play(std::string(SCRIPTS) + "/" + GetParam() + ".txt");
  EXPECT_TRUE(why.empty()) << why;
}

INSTANTIATE_TEST_SUITE_P(Rule, Scripts, ::testing::ValuesIn(scripts()),
                         [](const auto& rule) { return rule.param; });

}  // namespace
}  // namespace penstock
