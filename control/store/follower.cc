#include "control/store/follower.h"

#include <algorithm>
#include <thread>

namespace penstock::store {

void Follower::failed(uint64_t now, const Error& why) {
  watch_.reset();
  trouble_ = why.text;
  const auto most = static_cast<uint64_t>(timing_.retry_most.count());
  const auto least = static_cast<uint64_t>(timing_.retry_least.count());
  const uint64_t pause = std::min(most, least << std::min<uint64_t>(errors_++, 16));
  resync_at_ = now + pause - random_() % (pause / 2 + 1);
}

void Follower::resync(uint64_t now, News& news) {
  const auto all = store_.range(prefix_);
  if (!all) return failed(now, all.error());
  const View::Taken taken = view_.take(*all, news.changes);
  if (taken == View::Taken::kOlder) {
    failed(now,
           {Fault::kUnavailable, "the store is older than it was: rewound, or not up to date"});
    resync_at_ = now + static_cast<uint64_t>(timing_.retry_most.count());  // time to catch up
    return;
  }
  news.rewound = taken == View::Taken::kRewound;
  complete_ = true;
  if (watch_ == nullptr || news.rewound) {
    watch_.reset();
    auto watch = store_.watch(prefix_, view_.revision());
    if (!watch) return failed(now, watch.error());
    watch_ = std::move(*watch);
  }
  trouble_.clear();
  errors_ = 0;
  const auto least = static_cast<uint64_t>(timing_.resync_least.count());
  const auto most = static_cast<uint64_t>(timing_.resync_most.count());
  resync_at_ = now + least + random_() % (most - least + 1);
}

Follower::News Follower::poll(uint64_t now, std::chrono::milliseconds wait) {
  News news;
  if (now >= resync_at_) resync(now, news);
  if (!news.changes.empty()) return news;
  if (watch_ == nullptr) {
    const auto left = std::chrono::milliseconds(resync_at_ > now ? resync_at_ - now : 0);
    std::this_thread::sleep_for(std::min(wait, left));
    return news;
  }
  const auto events = watch_->next(wait);
  if (!events) {
    failed(now, events.error());
    // To have lost one's place is no fault of the store's: look again at once.
    if (events.error().fault == Fault::kCompacted && errors_ == 1) resync_at_ = now;
    return news;
  }
  view_.take(*events, news.changes);
  return news;
}

}  // namespace penstock::store
