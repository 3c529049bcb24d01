#include "dataplane/fabric_port.h"

#include <algorithm>

namespace penstock {

RdmaPath* FabricPort::find(uint32_t endpoint) {
  const auto it = std::ranges::find_if(paths_, [&](RdmaPath* p) { return p->has(endpoint); });
  return it == paths_.end() ? nullptr : *it;
}

// Completions first: they make room for what the immediates of the same burst call for.
uint32_t FabricPort::poll(uint64_t now) {
  if (paths_.empty()) return 0;
  const Fabric::Polled n = fabric_.poll(completions_, immediates_);
  auto work = static_cast<uint32_t>(n.completions + n.immediates);
  for (size_t i = 0; i < n.completions; i++)
    if (RdmaPath* p = find(completions_[i].endpoint)) p->on_completion(completions_[i]);
  for (size_t i = 0; i < n.immediates; i++)
    if (RdmaPath* p = find(immediates_[i].endpoint)) p->on_immediate(immediates_[i], now);
  const bool emptied = n.completions < kBurst && n.immediates < kBurst;
  for (RdmaPath* p : paths_) {
    if (!p->poll(now, emptied, work)) continue;
    stopped_.push({&p, 1});  // holds more than a fabric has endpoints
    noticed_ = true;
  }
  return work;
}

bool FabricPort::busy() const {
  return std::ranges::any_of(paths_, [](const RdmaPath* p) { return p->busy(); });
}

}  // namespace penstock
