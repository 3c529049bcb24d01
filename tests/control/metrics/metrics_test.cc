#include "control/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <string>

namespace penstock {
namespace {

struct MetricsTest : testing::Test {
  // The value of a series, by the value of its first label; none: by its name alone.
  double value(const std::string& name, const std::string& label = "") {
    for (const auto& f : metrics.collect(n, events)) {
      if (f.name != "penstock_" + name) continue;
      for (const auto& m : f.metric)
        if (label.empty() || m.label.at(0).value == label)
          return f.type == prometheus::MetricType::Counter ? m.counter.value : m.gauge.value;
    }
    ADD_FAILURE() << name << " " << label;
    return -1;
  }

  NodeNumbers n;
  Events events{nullptr};
  Metrics metrics{{.id = 1, .epoch = 2, .name = "a", .version = "3", .has_store = true}};
};

// Whatever a reader of counters that grow meanwhile makes of them.
TEST_F(MetricsTest, SumsNeverGoBack) {
  std::mt19937_64 random(1);
  double highest = 0, dropped = 0;
  for (int i = 0; i < 200; i++) {
    n.counted.published = random() % 1000;
    n.drops[Drop::kTooSlow] = random() % 1000;
    highest = std::max(highest, static_cast<double>(n.counted.published));
    dropped = std::max(dropped, static_cast<double>(n.drops[Drop::kTooSlow]));
    EXPECT_EQ(value("messages_published_total"), highest);
    EXPECT_EQ(value("drops_total", "too_slow"), dropped);
  }
}

TEST_F(MetricsTest, WhatBelongsToALinkBeginsAnewWithIt) {
  n.paths = {{.peer = "b", .peer_id = 2, .bytes_sent = 100}};
  EXPECT_EQ(value("link_sent_bytes_total", "b"), 100);
  n.paths[0].bytes_sent = 5;
  EXPECT_EQ(value("link_sent_bytes_total", "b"), 5);
}

TEST_F(MetricsTest, APeerIsAsWellAsItsBestPath) {
  n.paths = {{.peer = "n", .peer_id = 2, .path = 0, .up = false, .connected = false},
             {.peer = "n", .peer_id = 2, .path = 1, .up = true, .connected = true},
             {.peer = "n", .peer_id = 3, .path = 0, .up = true, .connected = false},
             {.peer = "n", .peer_id = 4, .path = 0, .up = false, .connected = true}};
  EXPECT_EQ(value("peers", "up"), 1);
  EXPECT_EQ(value("peers", "suspect"), 1);
  EXPECT_EQ(value("peers", "down"), 1);
}

// Which takes a device: the manual has the same names (tests/e2e compares the others with it).
TEST_F(MetricsTest, ARailSaysWhatTheManualNames) {
  const auto rails = [&] {
    std::set<std::string> names;
    for (const auto& f : metrics.collect(n, events))
      if (f.name.starts_with("penstock_rdma_")) names.insert(f.name);
    return names;
  };
  EXPECT_TRUE(rails().empty());
  n.rails = {{.peer = "b", .peer_id = 2, .device = "mlx5_0", .up = true, .bytes_sent = 7}};
  EXPECT_EQ(value("rdma_up", "b"), 1);
  EXPECT_EQ(value("rdma_sent_bytes_total", "b"), 7);
  EXPECT_EQ(rails(),
            (std::set<std::string>{
                "penstock_rdma_up", "penstock_rdma_bytes_per_second", "penstock_rdma_errors_total",
                "penstock_rdma_copied_bytes_total", "penstock_rdma_sent_messages_total",
                "penstock_rdma_sent_bytes_total", "penstock_rdma_received_messages_total",
                "penstock_rdma_received_bytes_total"}));
}

TEST_F(MetricsTest, DelaysAddUpToTheirNumber) {
  n.counted.delays[0] = 3;                  // at most 1 us
  n.counted.delays[4] = 2;                  // at most 16
  n.counted.delays[kDelayBuckets - 1] = 1;  // more than all
  n.counted.delays_ns = 2'500'000'000;
  const auto families = metrics.collect(n, events);
  const auto at =
      std::ranges::find(families, "penstock_delivery_seconds", &prometheus::MetricFamily::name);
  ASSERT_NE(at, families.end());
  const auto& h = at->metric.at(0).histogram;
  EXPECT_EQ(h.sample_count, 6u);
  EXPECT_DOUBLE_EQ(h.sample_sum, 2.5);
  ASSERT_EQ(h.bucket.size(), kDelayBuckets);
  EXPECT_EQ(h.bucket[3].cumulative_count, 3u);
  EXPECT_EQ(h.bucket[4].cumulative_count, 5u);
  EXPECT_DOUBLE_EQ(h.bucket[4].upper_bound, 16e-6);
  EXPECT_EQ(h.bucket.back().cumulative_count, 6u);
  EXPECT_TRUE(std::isinf(h.bucket.back().upper_bound));
}

TEST_F(MetricsTest, TimesAreInSeconds) {
  n.oldest_ns = 1'500'000'000;
  n.workers = {{.busy_ns = 250'000'000, .longest_ns = 2000}};
  EXPECT_DOUBLE_EQ(value("oldest_message_age_seconds"), 1.5);
  EXPECT_DOUBLE_EQ(value("worker_busy_seconds_total", "0"), 0.25);
  EXPECT_DOUBLE_EQ(value("worker_longest_turn_seconds", "0"), 2e-6);
}

TEST_F(MetricsTest, EventsAreCountedAndTheStoreIsUpUnlessItIsRaised) {
  EXPECT_EQ(value("store_up"), 1);
  events.raise(EventName::kStoreUnreachable, "store", "away");
  EXPECT_EQ(value("store_up"), 0);
  EXPECT_EQ(value("events_raised", "store_unreachable"), 1);
  events.clear(EventName::kStoreUnreachable, "store", "back");
  EXPECT_EQ(value("store_up"), 1);
  EXPECT_EQ(value("events_raised", "store_unreachable"), 0);
  EXPECT_EQ(value("events_total", "store_unreachable"), 1);
}

}  // namespace
}  // namespace penstock
