#include "control/metrics/health.h"

#include <algorithm>
#include <fmt/format.h>

namespace penstock {
namespace {

Check check(std::string name, bool good, std::string text) {
  return {.name = std::move(name), .good = good, .text = std::move(text)};
}

Check workers(const NodeNumbers& n) {
  const auto stuck = std::ranges::count_if(n.workers, &NodeNumbers::Worker::stuck);
  return check("workers", stuck == 0,
               stuck == 0 ? fmt::format("{} come round", n.workers.size())
                          : fmt::format("{} of {} have not come round for seconds", stuck,
                                        n.workers.size()));
}

// One that is down need not keep anybody away, as long as there is another.
Check ports(const NodeNumbers& n) {
  const auto up = std::ranges::count_if(n.ports, &NodeNumbers::Port::up);
  return check(
      "ports", n.ports.empty() || up != 0,
      n.ports.empty() ? "none in the config" : fmt::format("{} of {} up", up, n.ports.size()));
}

}  // namespace

std::vector<Check> alive(const NodeNumbers& n) {
  return {workers(n)};
}

std::vector<Check> ready(const NodeNumbers& n, const Events& events, bool members_known) {
  const bool low = events.is_raised(EventName::kMemoryLow);
  const bool away = events.is_raised(EventName::kStoreUnreachable);
  // What runs is good, whatever stands in the file now.
  const bool refused = events.is_raised(EventName::kConfigRefused);
  return {
      check("config", true, refused ? "loaded; the file has mistakes since" : "loaded"), ports(n),
      check("memory", !low, low ? "a port has no free buffers: raise memory.buffers" : "enough"),
      check("store", members_known,
            !members_known ? "not heard yet, and there is no snapshot of it"
            : away         ? "away; what it said last holds"
                           : "no trouble"),
      workers(n)};
}

bool all_good(const std::vector<Check>& checks) {
  return std::ranges::all_of(checks, &Check::good);
}

}  // namespace penstock
