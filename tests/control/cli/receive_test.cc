#include "control/cli/receive.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace penstock::cli {
namespace {

using nlohmann::json;

pen::Message message(const char* bytes, size_t len) {
  pen::Message m{};
  m.data = bytes;
  m.len = len;
  m.parts = 1;
  m.topic = "a.b";
  m.topic_len = 3;
  m.position = 41;
  m.time_ns = 5;
  m.publisher = "p";
  return m;
}

TEST(JsonLine, HasTopicPositionAndTime) {
  const json line = json::parse(json_line(message("hello", 5)));
  EXPECT_EQ(line["topic"], "a.b");
  EXPECT_EQ(line["position"], 41);
  EXPECT_EQ(line["time_ns"], 5);
  EXPECT_EQ(line["data"], "hello");
  EXPECT_FALSE(line.contains("gap"));
}

TEST(JsonLine, WritesBytesThatAreNoTextAsHex) {
  const json line = json::parse(json_line(message("\xff\x00\x10", 3)));
  EXPECT_EQ(line["hex"], "ff0010");
  EXPECT_EQ(line["bytes"], 3);
  EXPECT_FALSE(line.contains("data"));
}

TEST(JsonLine, TellsOfAGap) {
  pen::Message gap = message("", 0);
  gap.parts = 0;
  gap.gap_count = 9;
  const json line = json::parse(json_line(gap));
  EXPECT_EQ(line["gap"]["count"], 9);
  EXPECT_TRUE(line["gap"]["reason"].is_string());
  EXPECT_FALSE(line.contains("data"));
  gap.gap_count = PENSTOCK_GAP_UNKNOWN;
  EXPECT_TRUE(json::parse(json_line(gap))["gap"]["count"].is_null());
}

}  // namespace
}  // namespace penstock::cli
