#include "control/demo/progress.h"

#include <gtest/gtest.h>

namespace penstock::demo {
namespace {

constexpr Progress::Time kStart{};

bool contains(const std::string& line, const std::string& what) {
  return line.find(what) != std::string::npos;
}

TEST(Progress, SaysRatesOfTheWindowThatEnded) {
  Progress p(kStart);
  for (int i = 0; i < 10; i++)
    p.gradient(1000, 15);
  p.weights(500);
  p.weights_seen(7);
  p.step_done(0.25F);
  const std::string line = p.take_line(kStart + std::chrono::seconds(2), 3, 9, 0.5);
  EXPECT_TRUE(contains(line, R"({"step":3,"steps":9,"loss":0.250000,"accuracy":0.500000,)"))
      << line;
  EXPECT_TRUE(contains(
      line, R"("gradients":{"messages_per_s":5.0,"bytes_per_s":5000.0,"p50_ns":15,"p99_ns":15})"))
      << line;
  EXPECT_TRUE(contains(
      line, R"("weights":{"messages_per_s":0.5,"bytes_per_s":250.0,"p50_ns":7,"p99_ns":7})"))
      << line;
}

TEST(Progress, BeginsANewWindowWithEachLine) {
  Progress p(kStart);
  p.gradient(1000, 15);
  EXPECT_FALSE(p.due(kStart + std::chrono::milliseconds(499)));
  EXPECT_TRUE(p.due(kStart + std::chrono::milliseconds(500)));
  const auto later = kStart + std::chrono::seconds(1);
  p.take_line(later, 1, 9, 0);
  EXPECT_FALSE(p.due(later));
  EXPECT_TRUE(
      contains(p.take_line(later + std::chrono::seconds(1), 1, 9, 0), R"("messages_per_s":0.0)"));
}

}  // namespace
}  // namespace penstock::demo
