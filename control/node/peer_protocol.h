// The peer protocol: what two nodes say over their link's control channel (lane alias 0, in order,
// reliable). One fixed struct a message, little-endian as both hosts are.
//
//   subscriber's node                        publisher's node
//   SubAdd ──────────────────────────────▶   a forward is set up for every matching lane; it holds
//                                            what is published from here on
//   ◀──────────────────────────── LaneTopic  for each such topic: alias, name, size of the lane
//   makes the mirror, joins its subscribers
//   LaneReady ───────────────────────────▶   the topic may flow
//   ◀─────────────────────────────── SubAck  every lane that is present has been joined
//   ◀───────────────────────────── LaneHeld  the publisher waits for this mirror, or no longer
//   ◀──────────────────────────── LaneClose  the lane ends after this many messages
//   LaneClosed ──────────────────────────▶   the alias may be used again
//
// And where both have RDMA (rdma/README.md), for each rail of each path, the first of one with the
// first of the other; the node of the lower id calls:
//
//   RdmaCall ────────────────────────────▶   makes its end and joins it with ours
//   ◀──────────────────────────── RdmaAnswer
//   RdmaMirror ──────────────────────────▶   of each mirror: where messages of its lane may be put
//   RdmaLanded.. RdmaEnd ────────────────▶   it failed and is stopped here; so much has landed
//   ◀──────────────── RdmaLanded.. RdmaEnd   likewise: now both send the rest another way
//
// After a link came up each side sends SubAdd for all it wants, and then SubAll. Bytes from a peer
// are copied and checked: length, type, terminated strings, ranges.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "dataplane/client/attach_protocol.h"
#include "dataplane/lane/layout.h"

namespace penstock::peer {

using attach::kNameBytes;
using attach::kTopicBytes;
using attach::Mode;

enum class Type : uint32_t {
  kSubAdd = 1,
  kSubDel = 2,
  kSubAck = 3,
  kLaneTopic = 4,
  kLaneReady = 5,
  kLaneRefused = 6,
  kLaneClose = 7,
  kLaneClosed = 8,
  kLaneHeld = 9,
  kSubAll = 10,
  kSubRefused = 11,
  kRdmaCall = 12,
  kRdmaAnswer = 13,
  kRdmaRefused = 14,
  kRdmaMirror = 15,
  kRdmaLanded = 16,
  kRdmaEnd = 17,
};

struct SubAdd {
  Type type = Type::kSubAdd;
  Mode mode = Mode::kBroadcast;
  uint64_t key = 0;           // names this interest until SubDel; unique on the sender
  attach::Overflow overflow;  // of all who share it: whether they hold a publisher back, and limits
  attach::PathPolicy path = attach::PathPolicy::kAny;  // the strictest of theirs
  uint32_t reserved = 0;
  char filter[kTopicBytes] = {};
};

struct SubDel {
  Type type = Type::kSubDel;
  uint32_t reserved = 0;
  uint64_t key = 0;
};

// That was all that it wants. What it wanted before it was cut off, and has not named since, it no
// longer misses.
struct SubAll {
  Type type = Type::kSubAll;
  uint32_t reserved = 0;
};

struct SubAck {
  Type type = Type::kSubAck;
  uint32_t reserved = 0;
  uint64_t key = 0;
};

// In place of SubAck: the rules of the publisher's node do not let this node have it.
struct SubRefused {
  Type type = Type::kSubRefused;
  uint32_t reserved = 0;
  uint64_t key = 0;
};

// The first one for an alias announces the lane; each announces one topic of it. Path 0 brings it,
// another may carry the lane: it says for which session of that one, as the mirror's side may hold
// an earlier one yet, which it is about to end with all its mirrors.
struct LaneTopic {
  Type type = Type::kLaneTopic;
  Mode mode = Mode::kBroadcast;
  uint32_t path = 0;   // index of the link that will carry the lane
  uint32_t alias = 0;  // not 0; unique on that link and side
  uint32_t epoch = 0;  // of the alias
  uint32_t topic = 0;  // row in the lane's topic table, and in the mirror's
  uint64_t lane_id = 0;
  LaneGeometry geometry;  // of the lane; the mirror may be smaller
  uint32_t reserved = 0;
  uint64_t session = 0;  // of the path, by the number that both ends know it by
  char name[kTopicBytes] = {};
  char group[kTopicBytes] = {};  // group only: its filter
  char publisher[kNameBytes] = {};
};

struct LaneReady {
  Type type = Type::kLaneReady;
  uint32_t path = 0;
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint32_t topic = 0;
  LaneGeometry mirror;
};

// The whole lane; with code kBadTopic this topic only, for which the mirror has no row; with
// kDenied too, unless the topic is kNoTopic: the rules there do not let it in. kWouldBlock is no
// refusal: not yet, ask again. That session of the path may not be up at the mirror's side, or a
// place be about to be free.
struct LaneRefused {
  Type type = Type::kLaneRefused;
  uint32_t path = 0;
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint32_t topic = 0;
  uint32_t code = 0;  // Errc
};

struct LaneClose {
  Type type = Type::kLaneClose;
  uint32_t path = 0;
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint32_t reason = 0;  // CloseReason
  uint32_t reserved = 0;
  uint64_t messages = 0;  // in the mirror when it is complete
};

struct LaneClosed {
  Type type = Type::kLaneClosed;
  uint32_t path = 0;
  uint32_t alias = 0;
  uint32_t epoch = 0;
};

// For subscribers who may hold a publisher back for a time only: that runs at the mirror.
struct LaneHeld {
  Type type = Type::kLaneHeld;
  uint32_t path = 0;
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint32_t held = 0;  // 1: it found no room, and this forward is the slowest of its readers
};

// One end of an RDMA connection. `life` numbers those of a rail, from 1: a later one says of those
// before that the caller has none of them, nor anything that was put there.
struct RdmaEndpoint {
  uint32_t path = 0;
  uint32_t rail = 0;
  uint32_t life = 0;
  uint32_t reserved = 0;
  uint64_t session = 0;  // of the path that it is meant for, as in LaneTopic
  uint32_t window = 0;   // immediates that the other side may send before it is granted more
  uint32_t landing_key = 0;
  uint64_t landing_address = 0;
  uint64_t landing_bytes = 0;
  std::array<std::byte, 48> address{};  // of the queue pair, opaque
};

struct RdmaCall {
  Type type = Type::kRdmaCall;
  uint32_t reserved = 0;
  RdmaEndpoint end;
};

struct RdmaAnswer {
  Type type = Type::kRdmaAnswer;
  uint32_t reserved = 0;
  RdmaEndpoint end;
};

// In place of RdmaAnswer: there is no device there, or no room. Not asked again in this session.
struct RdmaRefused {
  Type type = Type::kRdmaRefused;
  uint32_t path = 0;
  uint32_t rail = 0;
  uint32_t life = 0;
};

struct RdmaMirror {
  Type type = Type::kRdmaMirror;
  uint32_t path = 0;
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint32_t rail = 0;
  uint32_t life = 0;
  uint32_t key = 0;
  uint32_t reserved = 0;
  uint64_t address = 0;  // of the mirror's arena
  uint64_t bytes = 0;
};

// What has landed of a transfer that is not whole: bit i of word w is chunk 64 w + i.
struct RdmaLanded {
  Type type = Type::kRdmaLanded;
  uint32_t path = 0;
  uint32_t rail = 0;
  uint32_t life = 0;
  uint64_t number = 0;
  std::array<uint64_t, 16> chunks{};
};

struct RdmaEnd {
  Type type = Type::kRdmaEnd;
  uint32_t path = 0;
  uint32_t rail = 0;
  uint32_t life = 0;
  uint64_t taken = 0;  // all transfers up to this one are whole
};

// A message as a T, copied, or false: wrong size, or another type than T's.
template <class T>
bool parse(std::span<const std::byte> bytes, T& out) {
  if (bytes.size() != sizeof(T)) return false;
  const Type want = out.type;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out.type == want;
}

// What a message claims to be; no value of Type when it is too short.
inline Type type_of(std::span<const std::byte> bytes) {
  uint32_t t = 0;
  if (bytes.size() >= sizeof t) std::memcpy(&t, bytes.data(), sizeof t);
  return static_cast<Type>(t);
}

// A fixed field as text; empty when it is not terminated.
template <size_t N>
std::string_view text(const char (&field)[N]) {
  const void* end = std::memchr(field, 0, N);
  return end == nullptr
             ? std::string_view()
             : std::string_view(field, static_cast<size_t>(static_cast<const char*>(end) - field));
}

template <size_t N>
void set_text(char (&field)[N], std::string_view value) {
  std::memset(field, 0, N);
  std::memcpy(field, value.data(), value.size() < N ? value.size() : N - 1);
}

}  // namespace penstock::peer
