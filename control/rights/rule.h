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

// Who of those that have a rule in common stands behind it: one of user, group and node is set.
struct Rule {
  std::string name;    // unique
  std::string user;    // as in the config: a name, a number, or "*" for everybody
  std::string group;   // as in the config: a name or a number
  uint64_t node = 0;   // a peer
  std::string tenant;  // never empty once loaded
  std::string filter;  // never empty once loaded
  uint32_t allow = 0;  // a bit for each Right

  // What all clients that are here by this rule may have together; 0: as much as the node has.
  uint64_t clients = 0;
  uint64_t lanes = 0;
  uint64_t bytes = 0;  // of their lanes and inboxes
  uint64_t subscriptions = 0;

  // What user and group mean on this host.
  std::optional<uint32_t> uid = std::nullopt;
  std::optional<uint32_t> gid = std::nullopt;

  bool gives(Right r) const { return (allow >> static_cast<uint32_t>(r) & 1) != 0; }
};

// The number of a user or a group of this host, by its name or the number itself; nothing: there is
// none of that name.
std::optional<uint32_t> find_user(const std::string& name);
std::optional<uint32_t> find_group(const std::string& name);

}  // namespace penstock
