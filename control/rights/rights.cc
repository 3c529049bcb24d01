#include "control/rights/rights.h"

#include <algorithm>
#include <fmt/format.h>

#include "control/rights/covers.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

bool about(const Rule& rule, const Principal& who) {
  if (who.node != 0 || rule.node != 0) return rule.node == who.node;
  if (rule.everybody) return true;
  if (rule.uid) return *rule.uid == who.uid;
  return rule.gid && std::ranges::find(who.groups, *rule.gid) != who.groups.end();
}

bool takes(const Rule& rule, Right right, std::string_view name) {
  switch (right) {
    case Right::kPublish:
      return matches(rule.filter, name);
    case Right::kSubscribe:
      return covers(rule.filter, name);
    case Right::kAdmin:
      return true;
  }
  return false;
}

// In a rule, who this is.
std::string who_of(const Principal& who) {
  return who.node != 0 ? fmt::format("who = \"node:{}\"", who.node)
                       : fmt::format("who = \"user:{}\"", who.uid);
}

// Something of any length in a sentence that has to fit into a packet.
std::string brief(std::string_view s) {
  constexpr size_t kMost = 24;
  return s.size() <= kMost ? std::string(s) : fmt::format("{}...", s.substr(0, kMost - 3));
}

}  // namespace

tl::expected<Admission, std::string> Rights::admit(const Principal& who,
                                                   std::string_view asked) const {
  if (!any() && (asked.empty() || asked == kDefaultTenant))
    return Admission{std::string(kDefaultTenant), ""};
  if (!any())
    return tl::unexpected(
        fmt::format("this node has no [[rule]] in its config, so there is no tenant '{}': ask for "
                    "none, or add a [[rule]] with {} and tenant = \"{}\"",
                    asked, who_of(who), asked));
  for (const Rule& rule : rules_)
    if (about(rule, who) && (asked.empty() || asked == rule.tenant))
      return Admission{rule.tenant, rule.name};
  if (asked.empty())
    return tl::unexpected(
        fmt::format("no rule lets uid {} in: add a [[rule]] with {} to the "
                    "node's config, and reload it",
                    who.uid, who_of(who)));
  return tl::unexpected(
      fmt::format("no rule lets uid {} into tenant '{}': add a [[rule]] with {} and tenant = "
                  "\"{}\" to the node's config, and reload it",
                  who.uid, asked, who_of(who), asked));
}

std::string Rights::refusal(const Principal& who, std::string_view tenant, Right right,
                            std::string_view name) const {
  if (!any()) return {};
  const Rule* near = nullptr;  // it says something about them, but not this
  bool limited = false;
  for (const Rule& rule : rules_) {
    if (!about(rule, who)) continue;
    limited = true;
    if (rule.tenant != tenant) continue;
    if (rule.gives(right) && takes(rule, right, name)) return {};
    if (near == nullptr || (rule.gives(right) && !near->gives(right))) near = &rule;
  }
  if (who.node != 0 && !limited) return {};
  const std::string what = right == Right::kAdmin
                               ? "ask about the whole node"
                               : fmt::format("{} '{}'", text(right), brief(name));
  const std::string reason =
      near == nullptr ? fmt::format("no rule has {} and tenant = \"{}\"", who_of(who), tenant)
      : !near->gives(right)
          ? fmt::format("rule '{}' does not allow it", brief(near->name))
          : fmt::format("rule '{}' is for '{}'", brief(near->name), brief(near->filter));
  return fmt::format(
      "not permitted to {} in tenant '{}': {}; needs a [[rule]] with {}, allow = "
      "[\"{}\"]",
      what, tenant, reason, who_of(who), text(right));
}

const Rule* Rights::find(std::string_view name) const {
  const auto at = std::ranges::find(rules_, name, &Rule::name);
  return at == rules_.end() ? nullptr : &*at;
}

}  // namespace penstock
