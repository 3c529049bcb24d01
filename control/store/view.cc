#include "control/store/view.h"

#include <algorithm>
#include <utility>

namespace penstock::store {

void View::take(std::span<const Event> events, std::vector<Event>& changes) {
  for (const Event& e : events) {
    const auto& [key, value, revision, lease] = e.entry;
    const auto had = entries_.find(key);
    const auto gone = removed_.find(key);
    const uint64_t known = had != entries_.end()    ? std::max(base_, had->second.revision)
                           : gone != removed_.end() ? std::max(base_, gone->second)
                                                    : base_;
    if (revision <= known) continue;
    newest_ = std::max(newest_, revision);
    if (e.removed) {
      removed_[key] = revision;
      if (had == entries_.end()) continue;
      entries_.erase(had);
    } else {
      removed_.erase(key);
      entries_[key] = e.entry;
    }
    changes.push_back(e);
  }
}

View::Taken View::take(const Contents& contents, std::vector<Event>& changes) {
  const bool older = contents.revision < newest_;
  if (older && !std::exchange(older_before_, true)) return Taken::kOlder;
  older_before_ = false;
  Entries now;
  for (const Entry& e : contents.entries) {
    now[e.key] = e;
    const auto had = entries_.find(e.key);
    if (had == entries_.end() || had->second != e) changes.push_back({e, false});
  }
  for (const auto& [key, entry] : entries_)
    if (!now.contains(key)) changes.push_back({{key, "", contents.revision, 0}, true});
  entries_ = std::move(now);
  removed_.clear();
  base_ = newest_ = contents.revision;
  return older ? Taken::kRewound : Taken::kYes;
}

}  // namespace penstock::store
