#include "control/events/events.h"

#include <algorithm>

namespace penstock {

bool Events::may_tell(Name& name) {
  const uint64_t more = (now_ - name.refilled) / limits_.every_ns;
  name.left = std::min(limits_.burst, name.left + more);
  name.refilled = name.left == limits_.burst ? now_ : name.refilled + more * limits_.every_ns;
  if (name.left == 0) return false;
  name.left--;
  return true;
}

void Events::tell(Event event) {
  Name& name = names_[at(event.name)];
  event.number = next_++;
  event.suppressed = name.suppressed - std::exchange(name.said, name.suppressed);
  ring_.push_back(event);
  if (ring_.size() > limits_.ring) ring_.pop_front();
  if (sink_) sink_(event);
}

void Events::turn(uint64_t now, uint64_t unix_ns) {
  now_ = now;
  unix_ns_ = unix_ns;
  if (std::ranges::none_of(names_, [](const Name& n) { return n.waiting != 0; })) return;
  for (auto& [key, r] : raised_) {
    Name& name = names_[at(key.first)];
    if (r.told || !may_tell(name)) continue;
    r.told = true;
    name.waiting--;
    tell(r.event);
  }
}

void Events::take(const Event& happened) {
  Event event = happened;
  event.unix_ns = unix_ns_;
  Name& name = names_[at(event.name)];
  if (event.change == Change::kNoted) {
    name.happened++;
    if (may_tell(name)) return tell(std::move(event));
    name.suppressed++;
    return;
  }
  const auto known = raised_.find({event.name, event.subject});
  if (event.change == Change::kCleared) {
    if (known == raised_.end()) return;
    const bool told = known->second.told;
    raised_.erase(known);
    if (told) return tell(std::move(event));
    name.waiting--;
    name.suppressed++;
    return;
  }
  if (known != raised_.end()) {
    known->second.event.text = event.text;
    return;
  }
  name.happened++;
  if (raised_.size() >= limits_.raised) {
    name.suppressed++;
    return;
  }
  Raised& r = raised_[{event.name, event.subject}];
  r.event = event;
  r.told = may_tell(name);
  if (!r.told) {
    name.waiting++;
    return;
  }
  tell(std::move(event));
}

uint64_t Events::read(uint64_t from, size_t most, std::vector<Event>& out) const {
  const uint64_t first = next_ - ring_.size();
  const uint64_t begin = std::clamp(from, first, next_);
  const uint64_t end = begin + std::min<uint64_t>(most, next_ - begin);
  for (uint64_t n = begin; n < end; n++)
    out.push_back(ring_[n - first]);
  return end;
}

std::vector<Event> Events::raised() const {
  std::vector<Event> all;
  for (const auto& [key, r] : raised_)
    all.push_back(r.event);
  return all;
}

bool Events::is_raised(EventName name) const {
  const auto at = raised_.lower_bound({name, std::string()});
  return at != raised_.end() && at->first.first == name;
}

}  // namespace penstock
