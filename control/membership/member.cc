#include "control/membership/member.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/config/address.h"

namespace penstock {
namespace {

constexpr uint64_t kMaxId = 0xffffffff;
constexpr uint64_t kMostEpoch = uint64_t{1} << 48;  // starts of a node

template <class T>
bool number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// "10.1.0.2:9470", "[fd00::2]:9470"
bool port(std::string_view text, MemberPort& out) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !number(text.substr(colon + 1), out.udp_port))
    return false;
  std::string_view host = text.substr(0, colon);
  const bool v6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (v6) host = host.substr(1, host.size() - 2);
  const auto address = parse_host(host);
  if (!address || address->is_v6() != v6 || out.udp_port == 0) return false;
  out.address = *address;
  return true;
}

// As node.name in the config; it goes to tables and logs.
bool good_name(std::string_view name, size_t most) {
  return name.size() <= most && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.' || c == '-' || c == '+' || c == '~';
         });
}

}  // namespace

std::string member_key(uint64_t id) {
  return fmt::format("{}{}", kMembers, id);
}

std::string encode(const Member& member) {
  nlohmann::json row = {{"name", member.name},
                        {"epoch", member.epoch},
                        {"instance", member.instance},
                        {"version", member.version},
                        {"ports", nlohmann::json::array()}};
  for (const MemberPort& p : member.ports) {
    const std::string host = p.address.is_v6() ? "[" + format(p.address) + "]" : format(p.address);
    row["ports"].push_back(fmt::format("{}:{}", host, p.udp_port));
  }
  if (member.draining) row["draining"] = true;
  return row.dump();
}

tl::expected<Member, std::string> decode_member(std::string_view key, std::string_view value) {
  const auto bad = [key](std::string_view what) {
    return tl::unexpected(fmt::format("{} in the store: {}", key, what));
  };
  Member m;
  if (!key.starts_with(kMembers) || !number(key.substr(kMembers.size()), m.id) || m.id == 0 ||
      m.id > kMaxId || key != member_key(m.id))
    return bad("is no member: members/ and its node.id");
  const auto row = nlohmann::json::parse(value, nullptr, false);
  if (!row.is_object()) return bad("is no JSON object");
  const auto text = [&row](const char* name) {
    const auto at = row.find(name);
    return at != row.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  m.name = text("name");
  m.instance = text("instance");
  m.version = text("version");
  if (!good_name(m.name, 63) || !good_name(m.instance, 63) || !good_name(m.version, 63))
    return bad(
        "name, instance or version has more than 63 bytes, or others than letters, digits and "
        "_.-+~");
  if (m.name.empty()) m.name = fmt::format("node{}", m.id);
  if (const auto epoch = row.find("epoch"); epoch != row.end()) {
    if (!epoch->is_number_unsigned()) return bad("epoch is no number");
    m.epoch = epoch->get<uint64_t>();
    if (m.epoch > kMostEpoch) return bad("epoch is beyond what a node can reach");
  }
  if (const auto draining = row.find("draining"); draining != row.end())
    m.draining = draining->is_boolean() && draining->get<bool>();
  const auto ports = row.find("ports");
  if (ports == row.end() || !ports->is_array() || ports->size() > kMaxMemberPorts)
    return bad("ports is no list of at most 64: [\"10.1.0.2:9470\"]");
  for (const auto& p : *ports) {
    MemberPort known;
    if (!p.is_string() || !port(p.get<std::string>(), known))
      return bad("ports holds what is none: \"10.1.0.2:9470\"");
    m.ports.push_back(known);
  }
  return m;
}

}  // namespace penstock
