#include "control/cli/match.h"

#include <gtest/gtest.h>
#include <sstream>

namespace penstock::cli {
namespace {

struct Session {
  std::istringstream in;
  std::ostringstream out, err;
  Io io{in, out, err};
};

TEST(MatchOne, SaysOneOrZero) {
  Session yes, no;
  EXPECT_EQ(match_one(yes.io, "grad.*.w", "grad.layer3.w"), Exit::kOk);
  EXPECT_EQ(yes.out.str(), "1\n");
  EXPECT_EQ(match_one(no.io, "grad.*", "grad.layer3.w"), Exit::kOk);
  EXPECT_EQ(no.out.str(), "0\n");
}

TEST(MatchOne, DeliversNothingByWhatIsNoFilterOrNoTopic) {
  Session run;
  EXPECT_EQ(match_one(run.io, "a..b", "a.*"), Exit::kOk);
  EXPECT_EQ(run.out.str(), "0\n");
  EXPECT_EQ(run.err.str(), "not a filter: a..b\nnot a topic: a.*\n");
}

TEST(MatchLines, GivesALineForEachLine) {
  Session run;
  run.in.str("#\ta.b\na.#\ta\n*\ta.b\na.#\tb\n\t\na\t\na.b\ta.b");
  EXPECT_EQ(match_lines(run.io), Exit::kOk);
  EXPECT_EQ(run.out.str(), "1\n1\n0\n0\n0\n0\n1\n");
  EXPECT_EQ(run.err.str(), "");
}

TEST(MatchLines, KeepsCountWhenALineHasNoTab) {
  Session run;
  run.in.str("a a\na\ta\n");
  EXPECT_EQ(match_lines(run.io), Exit::kFailed);
  EXPECT_EQ(run.out.str(), "0\n1\n");
  EXPECT_EQ(run.err.str(), "line 1: no tab between filter and topic\n");
}

}  // namespace
}  // namespace penstock::cli
