#include "control/demo/digits.h"

#include <fstream>
#include <gtest/gtest.h>
#include <set>

namespace penstock::demo {
namespace {

// The error that a file of this text gives, or "".
std::string error_of(const std::string& text) {
  const auto file = std::filesystem::path(testing::TempDir()) / "digits_test.csv";
  std::ofstream(file) << text;
  const auto digits = load_digits(file);
  std::filesystem::remove(file);
  return digits ? "" : digits.error();
}

std::string good_row(const char* label = "3") {
  std::string row;
  for (size_t i = 0; i < kPixels; i++)
    row += "16,";
  return row + label + "\n";
}

TEST(Digits, SplitsAllRowsIntoFourFifthsAndOneFifth) {
  const auto digits = load_digits(DIGITS);
  ASSERT_TRUE(digits) << digits.error();
  EXPECT_EQ(digits->train.size(), 1437u);
  EXPECT_EQ(digits->test.size(), 360u);
  std::set<uint32_t> labels;
  for (const Digit& d : digits->test)
    labels.insert(d.label);
  EXPECT_EQ(labels.size(), kClasses) << "every digit is examined";
}

TEST(Digits, SplitsTheSameWayEveryTime) {
  const auto a = load_digits(DIGITS);
  const auto b = load_digits(DIGITS);
  ASSERT_TRUE(a && b);
  for (size_t i = 0; i < a->test.size(); i++)
    ASSERT_EQ(a->test[i].pixels, b->test[i].pixels);
}

TEST(Digits, NamesTheFileAndLineOfABadRow) {
  std::string text;
  for (int i = 0; i < 10; i++)
    text += good_row();
  EXPECT_EQ(error_of(text), "");
  EXPECT_NE(error_of(text + "1,2,3\n").find("digits_test.csv:11: "), std::string::npos);
  EXPECT_NE(error_of(good_row("10") + text), "");
  EXPECT_NE(error_of("17," + text), "");
  EXPECT_NE(error_of(good_row("3,3") + text), "");
}

TEST(Digits, RefusesAFileThatIsNotThereOrNearlyEmpty) {
  EXPECT_EQ(load_digits("/nonexistent/digits.csv").error(),
            "/nonexistent/digits.csv: cannot be read");
  EXPECT_NE(error_of(good_row()), "");
}

}  // namespace
}  // namespace penstock::demo
