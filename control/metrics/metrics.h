// Metrics: what the node counts, as families for Prometheus. One row of one table each, in
// metrics.cc; names and units are those of `penstock show`. Never a topic as a label.
#pragma once

#include <map>
#include <prometheus/metric_family.h>
#include <string>
#include <vector>

#include "control/events/events.h"
#include "control/node/numbers.h"

namespace penstock {

// What does not change while it runs.
struct Identity {
  uint64_t id = 0;
  uint64_t epoch = 0;
  std::string name;
  std::string version;
  bool has_store = false;
};

// The control thread's.
class Metrics {
 public:
  explicit Metrics(Identity self) : self_(std::move(self)) {}

  std::vector<prometheus::MetricFamily> collect(const NodeNumbers& n, const Events& events);

 private:
  const Identity self_;
  std::map<std::string, double> highest_;  // of each sum: it never goes back
};

}  // namespace penstock
