#include "control/membership/membership.h"

#include <pthread.h>

#include "dataplane/base/event.h"

namespace penstock {
namespace {

constexpr std::chrono::milliseconds kTurn{200};  // a stop waits for so long
constexpr size_t kMostRemovals = 16;             // that wait; each takes as long as the store does

uint64_t steady_ms() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

Fd event() {
  const auto made = make_event();
  return made.ok() ? Fd(*made) : Fd();
}

}  // namespace

Membership::Membership(std::unique_ptr<store::Store> store, Registry::Options options)
    : store_(std::move(store)),
      registry_(*store_, std::move(options)),
      event_(event()),
      thread_([this] { run(); }) {}

Membership::~Membership() {
  stop_.set();
  thread_.join();
}

Membership::News Membership::take() {
  uint64_t count = 0;
  (void)!read(event_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

std::optional<std::future<store::Result<uint64_t>>> Membership::remove(uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (wants_.removals.size() >= kMostRemovals) return std::nullopt;
  return wants_.removals.emplace_back(Removal{id, {}}).done.get_future();
}

void Membership::set_heard(std::set<uint64_t> ids) {
  const std::lock_guard lock(mutex_);
  wants_.heard = std::move(ids);
}

void Membership::drain() {
  const std::lock_guard lock(mutex_);
  wants_.drain = true;
}

void Membership::serve(Wants wants) {
  for (Removal& r : wants.removals)
    if (!stop_.is_set()) r.done.set_value(remove_member(*store_, r.id));
  if (wants.heard) registry_.heard(std::move(*wants.heard));
  if (wants.drain) registry_.drain();
}

void Membership::tell(std::vector<MemberEvent> members, const std::string& snapshot_trouble) {
  const std::string store = registry_.store_trouble();
  const std::string trouble = snapshot_trouble.empty() ? registry_.trouble() : snapshot_trouble;
  const std::lock_guard lock(mutex_);
  if (members.empty() && trouble == trouble_ && store == store_trouble_ &&
      registry_.complete() == complete_)
    return;
  news_.members.insert(news_.members.end(), members.begin(), members.end());
  if (std::exchange(trouble_, trouble) != trouble) news_.trouble = trouble;
  if (std::exchange(store_trouble_, store) != store) news_.store_trouble = store;
  news_.complete = complete_ = registry_.complete();
  ring_event(event_.get());
}

void Membership::run() {
  pthread_setname_np(pthread_self(), "store");
  std::string trouble;
  // What the disk knows goes first, and with what the store says of it, if it says anything: a
  // member may have moved since.
  auto members = registry_.begin(trouble);
  const auto wanted = [this] {
    const std::lock_guard lock(mutex_);
    return std::exchange(wants_, {});
  };
  while (!stop_.is_set()) {
    serve(wanted());
    auto more = registry_.poll(steady_ms(), kTurn);
    members.insert(members.end(), more.begin(), more.end());
    tell(std::exchange(members, {}), std::exchange(trouble, {}));
  }
  serve(wanted());
  registry_.leave();
}

}  // namespace penstock
