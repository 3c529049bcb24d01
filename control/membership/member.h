// A member: a node as the others know it, and its row in the store.
//
//   members/2 = {"epoch": 7, "instance": "9f3c...", "name": "b", "ports": ["10.1.0.2:9470"],
//   "version": "0.1.0"}
//
// What stands in the store was written by somebody else: it is checked before it is used.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "dataplane/net/address.h"

namespace penstock {

struct MemberPort {
  IpAddress address;
  uint16_t udp_port = 0;

  bool operator==(const MemberPort&) const = default;
};

struct Member {
  uint64_t id = 0;
  std::string name;
  std::vector<MemberPort> ports;
  uint64_t epoch = 0;     // 0: not known, in a file that people write
  std::string instance;   // drawn at each start: tells two nodes with one id apart
  std::string version;    // of the program
  bool draining = false;  // it is about to leave

  bool operator==(const Member&) const = default;
};

inline constexpr std::string_view kMembers = "members/";
inline constexpr size_t kMaxMemberPorts = 64;

std::string member_key(uint64_t id);
std::string encode(const Member& member);
// The error is a sentence that names the key.
tl::expected<Member, std::string> decode_member(std::string_view key, std::string_view value);

}  // namespace penstock
