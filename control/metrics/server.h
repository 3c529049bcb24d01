// MetricsServer: /metrics, /livez and /readyz over HTTP, on threads of its own.
//
//   control thread ──publish()──▶ the last report ◀──GET── scrapers, probes
//
// A request reads the last report and asks nobody, so that no scraper, slow or hostile, reaches the
// control thread or a worker. At most kThreads are answered at once; the others wait, and who does
// not finish his request in kPatienceMs is cut off.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <prometheus/metric_family.h>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "control/metrics/health.h"

struct mg_connection;
struct mg_context;

namespace penstock {

struct Report {
  std::vector<prometheus::MetricFamily> metrics;
  std::vector<Check> alive;
  std::vector<Check> ready;
};

class MetricsServer {
 public:
  static constexpr int kThreads = 4;
  static constexpr int kPatienceMs = 3000;
  // A report that is older says that the control thread stands still.
  static constexpr uint64_t kFreshNs = 5'000'000'000;

  // `listen`: "127.0.0.1:9469". The threads have the CPUs of the caller. The error is
  // a sentence that names the remedy.
  static tl::expected<std::unique_ptr<MetricsServer>, std::string> open(const std::string& listen);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;
  // Waits for requests that are being answered, at most for kPatienceMs.
  ~MetricsServer();

  // Any thread.
  void publish(Report report);

 private:
  using Handler = int (*)(mg_connection*, void*);
  struct Latest {
    std::shared_ptr<const Report> report;
    uint64_t age_ns = 0;
  };

  MetricsServer() = default;
  Latest latest() const;
  static int on_metrics(mg_connection* c, void* self);
  static int on_live(mg_connection* c, void* self);
  static int on_ready(mg_connection* c, void* self);
  static int on_other(mg_connection* c, void* self);

  mutable std::mutex mutex_;  // for what follows, but the context
  std::string fault_;         // the first thing that the library complained of
  std::shared_ptr<const Report> report_;
  uint64_t reported_at_ = 0;
  mg_context* context_ = nullptr;
};

}  // namespace penstock
