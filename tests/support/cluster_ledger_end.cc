// What is owed when a run ends, and what never came.
#include <algorithm>

#include "tests/support/cluster_ledger.h"

namespace penstock::test {

void ClusterLedger::begin_end() {
  ending_ = true;
  for (Publisher& p : publishers_)
    p.end_from = p.sent.size();
}

bool ClusterLedger::complete() const {
  for (const Subscription& s : subscriptions_) {
    if (s.ended || !s.acknowledged || s.mode == Mode::kMember) continue;
    for (uint64_t id = 1; id <= publishers_.size(); id++) {
      const Publisher& p = publishers_[id - 1];
      const auto it = s.flows.find(id);
      const uint64_t expected = it == s.flows.end() ? 0 : it->second.expected;
      uint64_t gaps = it == s.flows.end() ? 0 : it->second.gaps;
      for (uint64_t n = std::max(expected, p.end_from); n < p.sent.size(); n++)
        if (s.wants[p.sent[n].topic] && gaps-- == 0) return false;
    }
  }
  for (const auto& [filter, g] : groups_) {
    if (g.members.empty()) continue;
    for (uint64_t id = 1; id <= publishers_.size(); id++) {
      const Publisher& p = publishers_[id - 1];
      const auto it = g.holders.find(id);
      for (uint64_t n = p.end_from; n < p.sent.size(); n++) {
        if (!g.wants[p.sent[n].topic] || p.sent[n].len > fits_) continue;
        if (it == g.holders.end() || it->second.size() <= n || it->second[n] == kFree) return false;
      }
    }
  }
  return true;
}

// Behind what came last: owed only as far as nobody was lost since.
void ClusterLedger::settle(uint64_t id, Subscription& s, uint64_t publisher, const Publisher& p) {
  Flow& f = flow(s, publisher);
  if (!whole(s, f, p)) {
    f.owed = kUnknown;
    f.seen = {};
  }
  Missing never = missing(s, f, p, p.sent.size());
  // Of one that came while the two nodes had lost each other, and was gone before they met again,
  // nobody is told.
  if (!f.known) never.others = 0;
  miss(id, f, never, "never came", {publisher, f.expected});
}

void ClusterLedger::close() {
  for (uint64_t id = 1; id <= subscriptions_.size(); id++) {
    Subscription& s = subscriptions_[id - 1];
    if (s.ended || !s.acknowledged || s.mode == Mode::kMember) continue;
    for (uint64_t p = 1; p <= publishers_.size(); p++)
      settle(id, s, p, publishers_[p - 1]);
  }
  for (auto& [filter, g] : groups_) {
    uint64_t member = 0;  // to name one
    for (uint64_t id = 1; id <= subscriptions_.size(); id++)
      if (subscriptions_[id - 1].mode == Mode::kMember && subscriptions_[id - 1].filter == filter)
        member = id;
    for (uint64_t id = 1; id <= publishers_.size(); id++) {
      const Publisher& p = publishers_[id - 1];
      auto& holders = g.holders[id];
      holders.resize(p.sent.size());
      const auto known = g.from.find(id);
      const uint64_t from = known == g.from.end() ? p.end_from : known->second;
      for (uint64_t n = from; n < p.sent.size(); n++) {
        if (!g.wants[p.sent[n].topic] || p.sent[n].len > fits_ || holders[n] != kFree) continue;
        const bool ours = g.owed && p.life == lives_[p.node];
        const bool owed = ours || (n >= p.end_from && !g.members.empty());
        if (owed)
          wrong(counts_.lost, 1, "never came", member, {id, n});
        else if (!g.members.empty())
          counts_.untaken++;
      }
    }
  }
}

}  // namespace penstock::test
