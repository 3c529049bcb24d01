#include "control/cli/human.h"

#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

TEST(Human, HasThreeDigitsAndAUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(4 << 20), "4.00 MiB");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(0.25), "0.25");
  EXPECT_EQ(human_count(999'999), "1.00 M");
  EXPECT_EQ(human_count(12'345), "12.3 k");
  EXPECT_EQ(human_ns(410), "410 ns");
  EXPECT_EQ(human_ns(123'456), "123 us");
}

TEST(Human, DoesNotShowATimeThatWasNotMeasured) {
  EXPECT_EQ(human_ns(0), "-");
}

}  // namespace
}  // namespace penstock::cli
