// Limits of fixed tables that a subscription or a topic would exceed: asked before anything is
// done, so that a refusal leaves nothing behind.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

std::string lane_is_full(const LaneRecord& lane) {
  return fmt::format(
      "lane {} of {} has {} readers, which is all that a lane can have: subscribe "
      "once in a program, or declare another publisher",
      lane.id, lane.name, kMaxReaders);
}

}  // namespace

// Whether the subscription, or its group, reads the lane.
bool Node::wants(const Subscription& s, const LaneRecord& lane) const {
  if (!lane.sealed || lane.closed || lane.kind == LaneKind::kInbox) return false;
  const bool ours = s.mode == Mode::kBroadcast     ? lane.group.empty()
                    : lane.kind == LaneKind::kLane ? true
                                                   : lane.group == s.filter;
  return ours && std::any_of(lane.topics.begin(), lane.topics.end(),
                             [&](const auto& t) { return !t.empty() && matches(s.filter, t); });
}

// Empty: there is room for it.
std::string Node::no_room_for(const Subscription& s) const {
  if (!peers_.empty() && wishes_.size() >= kMostInterests && !wishes_.contains({s.mode, s.filter}))
    return fmt::format(
        "this node asks its peers for {} filters, as many as they take: subscribe "
        "with wider filters",
        kMostInterests);
  size_t slots = s.mode == Mode::kGroup ? 1 : 0;  // its inbox
  const auto group = groups_.find(s.filter);
  for (const auto& [id, lane] : lanes_) {
    if (!wants(s, *lane)) continue;
    if (s.mode == Mode::kBroadcast) {
      slots++;
    } else if (group != groups_.end() && group->second->sources.contains(id)) {
      continue;
    }
    if (lane->desk.readers() >= kMaxReaders) return lane_is_full(*lane);
  }
  const size_t taken = s.client->positions.slots.taken();
  if (taken + slots <= kPositionSlots) return {};
  return fmt::format(
      "a client can read {} lanes at once, each subscription counts; it reads {} and "
      "'{}' needs {}: subscribe to less, or attach another client",
      kPositionSlots, taken, bare_name(s.filter), slots);
}

// The same for everybody who would be joined when the topic comes into use.
std::string Node::no_room_for_topic(const LaneRecord& lane, const std::string& topic) {
  size_t marks = 0;
  broadcasts_.collect(topic, [&](Subscription* s) { marks += s->lanes.contains(lane.id) ? 0 : 1; });
  for (const auto& [filter, g] : groups_)
    if (matches(filter, topic) && !g->sources.contains(lane.id)) marks++;
  for (const auto& [id, p] : peers_) {
    const bool wanted = std::any_of(p->interests.begin(), p->interests.end(), [&](const auto& i) {
      return i.second.mode == Mode::kBroadcast && matches(i.second.filter, topic);
    });
    const bool forwarded = std::any_of(
        lane.forwards.begin(), lane.forwards.end(),
        [&](const auto& f) { return f->peer == p.get() && f->group == nullptr && !f->ending; });
    if (wanted && !forwarded) marks++;
  }
  return marks == 0 || lane.desk.readers() + marks <= kMaxReaders ? std::string()
                                                                  : lane_is_full(lane);
}

}  // namespace penstock
