#include "control/rights/rule.h"

#include <charconv>
#include <grp.h>
#include <pwd.h>
#include <vector>

namespace penstock {
namespace {

std::optional<uint32_t> number(const std::string& text) {
  uint32_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n == UINT32_MAX) return {};
  return n;
}

}  // namespace

std::optional<uint32_t> find_user(const std::string& name) {
  if (const auto n = number(name)) return n;
  std::vector<char> room(1 << 16);
  passwd entry{};
  passwd* found = nullptr;
  getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  return found != nullptr ? std::optional(found->pw_uid) : std::nullopt;
}

std::optional<uint32_t> find_group(const std::string& name) {
  if (const auto n = number(name)) return n;
  std::vector<char> room(1 << 20);  // its members' names, too
  group entry{};
  group* found = nullptr;
  getgrnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  return found != nullptr ? std::optional(found->gr_gid) : std::nullopt;
}

}  // namespace penstock
