// What the rules let clients and peers do here (control/rights): asked when they come, when a topic
// or a subscription begins, and of all of them once more when the rules change.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"
#include "dataplane/topic/name.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

// Its publisher is to have stopped by then, and its readers to have taken the rest.
constexpr uint64_t kRevokedNs = 500'000'000;

struct LimitRow {
  uint64_t Rule::*most;
  const char* option;
  const char* what;
};
constexpr LimitRow kLimits[] = {
    {&Rule::clients, "clients", "programs at once"},
    {&Rule::lanes, "lanes", "publishers and pushers"},
    {&Rule::bytes, "bytes", "bytes of lanes and inboxes"},
    {&Rule::subscriptions, "subscriptions", "subscriptions"},
};

void tell(ClientRecord& c, const attach::Header& h, const std::string& why,
          Errc code = Errc::kDenied) {
  c.session->refuse(h.request, static_cast<uint32_t>(code), why);
}

}  // namespace

// False: no rule lets it in; it was told which one is missing, and is detached.
bool Node::admit(ClientRecord& c, const attach::Header& h) {
  const PeerCredentials& who = c.session->who();
  c.who = {.uid = who.uid, .groups = who.groups};
  const auto admission = rights_.admit(c.who, c.tenant);
  std::string why;
  if (admission) {
    c.tenant = admission->tenant;
    c.rule = admission->rule;
    why = over_limit(c, Limit::kClients, 1);
  } else {
    why = admission.error();
  }
  if (why.empty()) return true;
  note(EventName::kDenied, fmt::format("client {} (pid {}): {}", c.name, who.pid, why));
  tell(c, h, why, admission ? Errc::kFull : Errc::kDenied);
  c.rule.clear();
  c.turned_out = true;
  return false;
}

// What a topic or a filter of the client is called in here; nothing: it was refused.
std::optional<std::string> Node::allowed_name(ClientRecord& c, const attach::Header& h, Right right,
                                              const std::string& name) const {
  if (const auto why = rights_.refusal(c.who, c.tenant, right, name); !why.empty()) {
    note(EventName::kDenied, fmt::format("client {}: {}", c.name, why));
    tell(c, h, why);
    return std::nullopt;
  }
  std::string inside = in_tenant(c.tenant, name);
  if (!inside.empty()) return inside;
  tell(c, h,
       fmt::format("it has {} bytes; in tenant '{}' a topic or a filter has {} at most",
                   name.size(), c.tenant, kMaxTopicBytes - c.tenant.size() - 2),
       Errc::kBadTopic);
  return std::nullopt;
}

bool Node::may_ask(ClientRecord& c, const attach::Header& h) const {
  const auto why = rights_.refusal(c.who, c.tenant, Right::kAdmin, {});
  if (why.empty()) return true;
  note(EventName::kDenied, fmt::format("client {}: {}", c.name, why));
  tell(c, h, why);
  return false;
}

// Empty: `more` of it are within what the client's rule allows to all that are here by it.
std::string Node::over_limit(const ClientRecord& c, Limit limit, uint64_t more) const {
  const Rule* rule = rights_.find(c.rule);
  const LimitRow& row = kLimits[static_cast<size_t>(limit)];
  if (rule == nullptr || rule->*row.most == 0) return {};
  uint64_t taken = 0;
  for (const auto& [id, other] : clients_) {
    if (other->rule != c.rule) continue;
    if (limit == Limit::kClients) taken += other->state == ClientRecord::State::kConnected ? 0 : 1;
    if (limit == Limit::kLanes) taken += other->lanes.size();
    if (limit == Limit::kSubscriptions) taken += other->subscriptions.size();
  }
  if (limit == Limit::kBytes)
    for (const auto& [id, lane] : lanes_)
      taken += lane->rule == c.rule ? lane->geometry.total_bytes() : 0;
  const uint64_t most = rule->*row.most;
  if (taken <= most && more <= most - taken) return {};
  return fmt::format("rule '{}' allows {} {}, and {} are taken: end some, or raise its {}",
                     rule->name, most, row.what, taken, row.option);
}

void Node::set_rights(Rights rights) {
  rights_ = std::move(rights);
  for (auto& [id, c] : clients_) {
    if (c->state == ClientRecord::State::kConnected || c->turned_out) continue;
    const auto admission = rights_.admit(c->who, c->tenant);
    if (!admission) {
      note(EventName::kDenied, fmt::format("client {}: {}", c->name, admission.error()));
      turn_out(*c, Errc::kDenied, admission.error());
      continue;
    }
    c->rule = admission->rule;
    for (auto& [lane_id, lane] : lanes_)
      if (lane->publisher == c.get() || (lane->inbox_of && lane->inbox_of->client == c.get()))
        lane->rule = c->rule;
    review(*c);
  }
  for (auto& [id, lane] : lanes_)
    limit_life(*lane);
  for (auto& [id, p] : peers_)
    review(*p);
}

// A lane that its publisher may not write any more, open or closed: who wrote on would keep it for
// ever.
void Node::limit_life(LaneRecord& lane) {
  const ClientRecord* owner = lane.publisher != nullptr ? lane.publisher : lane.keep.get();
  if (lane.kind != LaneKind::kLane || owner == nullptr || lane.end_by != 0) return;
  const bool may =
      rights_.admit(owner->who, owner->tenant).has_value() &&
      std::ranges::all_of(lane.topics, [&](const std::string& t) {
        return t.empty() ||
               rights_.refusal(owner->who, owner->tenant, Right::kPublish, bare_name(t)).empty();
      });
  if (!may) lane.end_by = now_ + kRevokedNs;
}

// What the client has, by the rules as they are now.
void Node::review(ClientRecord& c) {
  const auto lanes = c.lanes;
  for (const auto& [id, lane] : lanes) {
    std::string why;
    for (const std::string& topic : lane->topics)
      if (why.empty() && !topic.empty())
        why = rights_.refusal(c.who, c.tenant, Right::kPublish, bare_name(topic));
    if (why.empty()) continue;
    note(EventName::kDenied, fmt::format("lane {} of client {} is closed: {}", id, c.name, why));
    c.session->refuse(0, static_cast<uint32_t>(Errc::kDenied), why, static_cast<uint32_t>(id));
    c.lanes.erase(id);
    c.revoked.insert(id);
    close_lane(*lane, CloseReason::kPublisherLeft);
  }
  for (auto& [id, s] : c.subscriptions) {
    if (s->over) continue;
    const auto why = rights_.refusal(c.who, c.tenant, Right::kSubscribe, bare_name(s->filter));
    if (!why.empty()) end_by_node(*s, Drop::kEvicted, why);
  }
}

// Whether the peer may wish for the filter, or send the topic; if not, the log says so.
bool Node::may(const PeerRecord& p, Right right, std::string_view name) const {
  const auto why =
      rights_.refusal({.uid = 0, .node = p.id}, tenant_of(name), right, bare_name(name));
  if (why.empty()) return true;
  note(EventName::kDenied, fmt::format("node {} ({}): {}", p.id, p.name, why));
  return false;
}

// It stays a wish, for the day on which the rules let it have that.
void Node::deny(PeerRecord& p, const peer::SubAdd& m) {
  on_sub_del(p, {.key = m.key});
  p.denied[m.key] = m;
  send(p, peer::SubRefused{.key = m.key});
}

void Node::review(PeerRecord& p) {
  for (const auto& [key, m] : std::map(p.denied))
    if (rights_
            .refusal({.uid = 0, .node = p.id}, tenant_of(peer::text(m.filter)), Right::kSubscribe,
                     bare_name(peer::text(m.filter)))
            .empty())
      on_sub_add(p, m);
  std::vector<peer::SubAdd> lost;
  for (const auto& [key, interest] : p.interests) {
    if (may(p, Right::kSubscribe, interest.filter)) continue;
    peer::SubAdd& m = lost.emplace_back();
    m.mode = interest.mode;
    m.key = key;
    m.overflow = interest.overflow;
    peer::set_text(m.filter, interest.filter);
  }
  for (const peer::SubAdd& m : lost)
    deny(p, m);
  std::vector<LaneRecord*> mirrors;
  for (auto& [id, lane] : lanes_)
    if (lane->peer == &p && !lane->closed && !lane->ending &&
        std::ranges::any_of(lane->topics, [&](const std::string& t) {
          return !t.empty() && !may(p, Right::kPublish, t);
        }))
      mirrors.push_back(lane.get());
  for (LaneRecord* lane : mirrors) {
    peer::LaneRefused m;
    m.path = lane->path;
    m.alias = lane->alias;
    m.epoch = lane->alias_epoch;
    m.topic = kNoTopic;
    m.code = static_cast<uint32_t>(Errc::kDenied);
    send(p, m);
    close_mirror(*lane, CloseReason::kPublisherLeft);
  }
}

// Readers that are still there have had their time: a publisher that goes on writing would keep
// them.
void Node::end_revoked(LaneRecord& lane) {
  if (lane.end_by == 0 || now_ < lane.end_by) return;
  for (auto& [index, r] : lane.readers) {
    if (r->subscription == nullptr || std::exchange(r->evicted, true)) continue;
    lane.desk.evict(index);
    ask_to_leave(*r);
  }
}

}  // namespace penstock
