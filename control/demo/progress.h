// Progress: counts what the server sends and receives, and says it as JSON. Owned by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "control/demo/latency.h"

namespace penstock::demo {

class Progress {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Progress(Time now) : window_began_(now) {}

  void gradient(size_t bytes, uint64_t latency_ns) {
    gradients_.add(bytes);
    gradients_.latency.add(latency_ns);
  }
  // The weights are published once; their latency is what one of the trainers saw.
  void weights(size_t bytes) { weights_.add(bytes); }
  void weights_seen(uint64_t latency_ns) { weights_.latency.add(latency_ns); }
  void step_done(float mean_loss) { loss_ = mean_loss; }

  bool due(Time now) const { return now - window_began_ >= std::chrono::milliseconds(500); }

  // The window since the last call, as a JSON object; begins the next one.
  std::string take_line(Time now, uint32_t step, uint32_t steps, double accuracy);

 private:
  struct Way {
    uint64_t messages = 0;
    uint64_t bytes = 0;
    Latency latency;

    void add(size_t n) {
      messages++;
      bytes += n;
    }
    std::string json(double seconds) const;
  };

  Time window_began_;
  float loss_ = 0;
  Way gradients_;
  Way weights_;
};

}  // namespace penstock::demo
