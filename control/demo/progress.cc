#include "control/demo/progress.h"

#include <fmt/format.h>

namespace penstock::demo {

std::string Progress::Way::json(double seconds) const {
  return fmt::format(R"({{"messages_per_s":{:.1f},"bytes_per_s":{:.1f},"p50_ns":{},"p99_ns":{}}})",
                     static_cast<double>(messages) / seconds, static_cast<double>(bytes) / seconds,
                     latency.quantile_ns(0.5), latency.quantile_ns(0.99));
}

std::string Progress::take_line(Time now, uint32_t step, uint32_t steps, double accuracy) {
  const double seconds = std::max(1e-6, std::chrono::duration<double>(now - window_began_).count());
  const std::string line = fmt::format(
      R"({{"step":{},"steps":{},"loss":{:.6f},"accuracy":{:.6f},"gradients":{},"weights":{}}})",
      step, steps, loss_, accuracy, gradients_.json(seconds), weights_.json(seconds));
  window_began_ = now;
  gradients_ = {};
  weights_ = {};
  return line;
}

}  // namespace penstock::demo
