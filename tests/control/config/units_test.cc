#include "control/config/units.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Size, IsANumberWithAUnit) {
  EXPECT_EQ(parse_size("4MiB"), 4u << 20);
  EXPECT_EQ(parse_size("64 kB"), 64000u);
  EXPECT_EQ(parse_size("512"), 512u);
  EXPECT_EQ(parse_size("0B"), 0u);
  EXPECT_EQ(parse_size("16777215TiB"), 16777215ull << 40);
}

TEST(Size, IsNothingElse) {
  for (const char* bad : {"", "MiB", "4mib", "4 MiB ", "-4", "1.5MiB", "4MiB4", "16777216TiB",
                          "18446744073709551616", "0x10"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Duration, NeedsAUnit) {
  EXPECT_EQ(parse_duration("25us"), 25000u);
  EXPECT_EQ(parse_duration("10 s"), 10'000'000'000u);
  EXPECT_EQ(parse_duration("2min"), 120'000'000'000u);
  EXPECT_FALSE(parse_duration("10"));
  EXPECT_FALSE(parse_duration("10m"));
}

TEST(CpuList, KeepsItsOrder) {
  EXPECT_EQ(parse_cpus("8,2-4"), (std::vector<uint32_t>{8, 2, 3, 4}));
  EXPECT_EQ(parse_cpus(""), std::vector<uint32_t>{});
}

TEST(CpuList, NamesEachCpuOnce) {
  for (const char* bad : {"2-4,3", "4-2", "1,", ",1", "a", "1-", "-1", "1 2", "0-4294967295"}) {
    EXPECT_FALSE(parse_cpus(bad)) << bad;
  }
}

TEST(Units, FormatToWhatParsesBack) {
  for (const uint64_t n : {0ull, 1ull, 1000ull, 1024ull, 1500ull, 3ull << 20, 1ull << 40, ~0ull}) {
    EXPECT_EQ(parse_size(format_size(n)), n);
    EXPECT_EQ(parse_duration(format_duration(n)), n);
  }
  EXPECT_EQ(format_size(4u << 20), "4MiB");
  EXPECT_EQ(format_duration(90'000'000'000), "90s");
  EXPECT_EQ(format_cpus({2, 3, 4, 5, 8}), "2-5,8");
}

}  // namespace
}  // namespace penstock
