#include "control/config/nearest.h"

#include <gtest/gtest.h>
#include <string>

namespace penstock {
namespace {

constexpr std::string_view kWords[] = {"ring", "arena", "topics", "max_arena"};

TEST(Nearest, FindsWhatWasMeant) {
  EXPECT_EQ(nearest("rnig", kWords), "ring");
  EXPECT_EQ(nearest("topic", kWords), "topics");
  EXPECT_EQ(nearest("Arena", kWords), "arena");
  EXPECT_EQ(nearest("maxarena", kWords), "max_arena");
}

TEST(Nearest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest("window", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest(std::string(100000, 'a'), kWords), "");
}

}  // namespace
}  // namespace penstock
