// Rule: one [[rule]] of the config, checked: who may do what in which tenant, and how much of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

enum class Right : uint8_t { kPublish, kSubscribe, kAdmin };
inline constexpr std::string_view kRights[] = {"publish", "subscribe", "admin"};

constexpr std::string_view text(Right r) {
  return kRights[static_cast<size_t>(r)];
}

// A bit for each Right.
struct Allowed {
  uint32_t bits = 0;
};

struct Rule {
  std::string name;    // unique, never empty once loaded
  std::string who;     // as in the config: "user:NAME", "group:NAME", "node:ID", "*"
  std::string tenant;  // never empty once loaded
  std::string filter;  // never empty once loaded
  Allowed allow;

  // What all clients that are here by this rule may have together; 0: as much as the node has.
  uint64_t clients = 0;
  uint64_t lanes = 0;
  uint64_t bytes = 0;  // of their lanes and inboxes
  uint64_t subscriptions = 0;

  // What `who` means on this host: one of these.
  std::optional<uint32_t> uid = std::nullopt;
  std::optional<uint32_t> gid = std::nullopt;
  uint64_t node = 0;
  bool everybody = false;

  bool gives(Right r) const { return (allow.bits >> static_cast<uint32_t>(r) & 1) != 0; }
};

// Finds out what `rule.who` means here: a name may be a number. Empty, or what is wrong with it.
std::string find_who(Rule& rule);

}  // namespace penstock
