#include "control/cli/bench.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <thread>
#include <unistd.h>
#include <vector>

#include "control/cli/human.h"
#include "control/cli/interrupt.h"
#include "control/cli/node.h"
#include "dataplane/base/stop_flag.h"

namespace penstock::cli {

namespace {

constexpr int64_t kSlice = 100'000'000;   // ns between two looks at the stop flag
constexpr size_t kMostTrips = 4'000'000;  // what is kept of a long measurement
constexpr uint64_t kLeastArena = 4 << 20;
constexpr uint64_t kMessagesInArena = 16;

uint64_t now_ns() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

// One client that sends to one topic and receives another. Made and used by one thread at a time.
class Side {
 public:
  Side(const BenchOptions& options, const char* name, const std::string& out, const std::string& in)
      : client_(attach(options.socket, name)), message_(options.size, 'x') {
    const uint64_t arena = std::bit_ceil(std::max(kLeastArena, options.size * kMessagesInArena));
    auto publisher = client_.publisher({.arena_bytes = arena});
    if (!publisher) throw set_up_failure(publisher.code(), name);
    publisher_ = std::move(*publisher);
    auto subscriber = client_.subscriber(in.c_str());
    if (!subscriber) throw set_up_failure(subscriber.code(), in);
    subscriber_ = std::move(*subscriber);
    const auto topic = publisher_.topic(out);
    if (!topic) throw set_up_failure(topic.code(), out);
    topic_ = *topic;
  }

  // False: no room, or nothing came, within a slice.
  bool send() {
    const pen::Code code = publisher_.send_wait(topic_, message_, kSlice);
    if (code != PENSTOCK_OK && code != PENSTOCK_WOULD_BLOCK) throw failure(code, "send");
    return code == PENSTOCK_OK;
  }
  bool receive() {
    pen::Message message{};
    const pen::Code code = subscriber_.recv(message, kSlice);
    if (code != PENSTOCK_OK && code != PENSTOCK_TIMEOUT) throw failure(code, "receive");
    return code == PENSTOCK_OK;
  }

 private:
  pen::Client client_;
  pen::Publisher publisher_;
  pen::Subscriber subscriber_;
  uint32_t topic_ = 0;
  std::string message_;
};

// Runs `loop` again and again on a thread of its own while the block lives.
template <class Loop>
class Partner {
 public:
  explicit Partner(Loop loop)
      : thread_([this, loop] {
          try {
            while (!stop_.is_set())
              loop();
          } catch (const Failure&) {
            // The measuring side finds the node gone too, and says so.
          }
        }) {}
  ~Partner() {
    stop_.set();
    thread_.join();
  }
  Partner(const Partner&) = delete;
  Partner& operator=(const Partner&) = delete;

 private:
  StopFlag stop_;
  std::thread thread_;
};

// Nanoseconds of each round trip, sorted.
std::vector<uint64_t> round_trips(Side& here, Side& there, uint64_t duration_ns) {
  const Partner echo([&there] {
    if (there.receive()) there.send();
  });
  std::vector<uint64_t> trips;
  const uint64_t end = now_ns() + duration_ns;
  for (uint64_t start = now_ns(); start < end && trips.size() < kMostTrips && !interrupted();) {
    if (!here.send()) continue;
    while (!here.receive() && !interrupted()) {
    }
    const uint64_t done = now_ns();
    trips.push_back(done - start);
    start = done;
  }
  std::ranges::sort(trips);
  return trips;
}

struct Flow {
  uint64_t messages = 0;
  uint64_t ns = 0;
};

// Messages that arrived, and the time between the first and the last.
Flow one_way(Side& here, Side& there, uint64_t duration_ns) {
  const Partner source([&there] { there.send(); });
  Flow flow;
  uint64_t first = 0;
  const uint64_t end = now_ns() + duration_ns;
  for (uint64_t now = now_ns(); now < end && !interrupted();) {
    const bool came = here.receive();
    now = now_ns();
    if (!came) continue;
    if (first == 0) first = now;
    flow.messages++;
    flow.ns = now - first;
  }
  return flow;
}

uint64_t quantile(const std::vector<uint64_t>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

Exit bench(const Io& io, const BenchOptions& options) {
  const std::string topic = fmt::format("penstock.bench.{}", getpid());
  Side here(options, "penstock bench", topic + ".ping", topic + ".pong");
  Side there(options, "penstock bench echo", topic + ".pong", topic + ".ping");
  const std::vector<uint64_t> trips = round_trips(here, there, options.duration_ns);
  const Flow flow = one_way(here, there, options.duration_ns);
  const double rate =
      flow.ns == 0 ? 0 : static_cast<double>(flow.messages) * 1e9 / static_cast<double>(flow.ns);
  const double bytes_rate = rate * static_cast<double>(options.size);
  const uint64_t p50 = quantile(trips, 0.5), p99 = quantile(trips, 0.99),
                 p999 = quantile(trips, 0.999);
  if (options.json) {
    io.out << nlohmann::json{{"size", options.size},
                             {"round_trips", trips.size()},
                             {"round_trip_ns", {{"p50", p50}, {"p99", p99}, {"p99.9", p999}}},
                             {"messages", flow.messages},
                             {"messages_per_s", rate},
                             {"bytes_per_s", bytes_rate}}
                  .dump(2)
           << "\n";
    return Exit::kOk;
  }
  const auto ns = [](uint64_t n) { return human_ns(static_cast<double>(n)); };
  io.out << fmt::format("{} between two clients of this node\n",
                        human_bytes(static_cast<double>(options.size)))
         << fmt::format("  round trip  p50 {}, p99 {}, p99.9 {} ({} trips)\n", ns(p50), ns(p99),
                        ns(p999), trips.size())
         << fmt::format("  one way     {} messages/s, {}/s\n", human_count(rate),
                        human_bytes(bytes_rate));
  return Exit::kOk;
}

}  // namespace penstock::cli
