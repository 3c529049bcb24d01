#include "control/rights/rule.h"

#include <charconv>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <vector>

namespace penstock {
namespace {

template <class T>
std::optional<T> number(std::string_view text) {
  T n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return n;
}

// The highest number means nobody.
std::optional<uint32_t> find_user(const std::string& name) {
  if (const auto n = number<uint32_t>(name)) return *n != UINT32_MAX ? n : std::nullopt;
  std::vector<char> room(1 << 16);
  passwd entry{};
  passwd* found = nullptr;
  getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  return found != nullptr ? std::optional(found->pw_uid) : std::nullopt;
}

std::optional<uint32_t> find_group(const std::string& name) {
  if (const auto n = number<uint32_t>(name)) return *n != UINT32_MAX ? n : std::nullopt;
  std::vector<char> room(1 << 20);  // its members' names, too
  group entry{};
  group* found = nullptr;
  getgrnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  return found != nullptr ? std::optional(found->gr_gid) : std::nullopt;
}

}  // namespace

std::string find_who(Rule& rule) {
  rule.everybody = rule.who == "*";
  if (rule.everybody) return {};
  const size_t colon = rule.who.find(':');
  const std::string kind = rule.who.substr(0, colon);
  const std::string name = colon == std::string::npos ? "" : rule.who.substr(colon + 1);
  if (kind == "user") {
    rule.uid = find_user(name);
    return rule.uid ? "" : fmt::format("there is no user '{}' on this host", name);
  }
  if (kind == "group") {
    rule.gid = find_group(name);
    return rule.gid ? "" : fmt::format("there is no group '{}' on this host", name);
  }
  if (kind == "node") {
    rule.node = number<uint32_t>(name).value_or(0);
    return rule.node != 0 ? "" : fmt::format("'{}' is no node.id", name);
  }
  return fmt::format(
      "\"{}\" is not allowed; allowed: \"user:NAME\", \"group:NAME\", \"node:ID\", "
      "\"*\" for every client",
      rule.who);
}

}  // namespace penstock
