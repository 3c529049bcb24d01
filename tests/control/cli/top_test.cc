#include "control/cli/top.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "control/cli/exit.h"

namespace penstock::cli {
namespace {

using nlohmann::json;

Snapshot snapshot(uint64_t at_ns, uint64_t grad, uint64_t weights, uint64_t overrun) {
  const auto lane = [](uint64_t id, const char* name, uint64_t sent) {
    return json{{"id", id},     {"name", name},         {"kind", "lane"},
                {"sent", sent}, {"bytes", sent * 1024}, {"readers", json::array()}};
  };
  return {.at_ns = at_ns,
          .node = {{"name", "a"},
                   {"id", 1},
                   {"epoch", 2},
                   {"workers", json::array({json{{"id", 0}, {"turns", grad}}})}},
          .lanes = json::array({lane(1, "grad", grad), lane(2, "weights", weights)}),
          .links = json::array(),
          .ports = json::array(),
          .drops = {{"overrun", overrun}}};
}

TEST(TopView, ShowsRatesAndTheBusiestFirst) {
  const std::string view =
      top_view(snapshot(0, 100, 1000, 0), snapshot(2'000'000'000, 300, 9000, 4), 1000);
  EXPECT_NE(view.find("100 turns/s"), std::string::npos) << view;
  EXPECT_NE(view.find("4.00 k  3.91 MiB"), std::string::npos) << view;
  EXPECT_LT(view.find("weights"), view.find("grad")) << view;
  EXPECT_NE(view.find("dropped: overrun 4 (+2/s)"), std::string::npos) << view;
}

TEST(TopView, CountsFromZeroWhatBeganAnew) {
  const std::string view =
      top_view(snapshot(0, 1'000'000, 0, 0), snapshot(1'000'000'000, 7, 0, 0), 1000);
  EXPECT_NE(view.find("7 turns/s"), std::string::npos) << view;
  EXPECT_NE(view.find("dropped: nothing"), std::string::npos) << view;
}

TEST(TopView, KeepsToTheScreen) {
  const std::string view = top_view(snapshot(0, 1, 1, 0), snapshot(1, 2, 2, 0), 3);
  EXPECT_EQ(std::ranges::count(view, '\n'), 3);
}

TEST(TopView, RefusesAnswersThatMakeNoSense) {
  Snapshot odd = snapshot(1, 1, 1, 1);
  odd.lanes = json::parse(R"([{"sent": "x"}])");
  EXPECT_THROW(static_cast<void>(top_view(odd, odd, 10)), Failure);
}

}  // namespace
}  // namespace penstock::cli
