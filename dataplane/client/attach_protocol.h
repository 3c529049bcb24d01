// The attach protocol: what a client and its node say over the Unix socket (SEQPACKET, one message
// a packet, at most 4 KiB, descriptors by SCM_RIGHTS). Set-up only: messages never pass here.
//
//   client                                   node
//   Tenant ──────────────────────────────▶   the tenant that it asks for, if it does
//   Hello ───────────────────────────────▶   checks SO_PEERCRED, version, rules
//   ◀───────────────── Welcome + descriptors  position table, bell page, worker page, worker events
//   Mapped(0) ───────────────────────────▶   seals both tables against further writers
//   Declare ─────────────────────────────▶   makes the lane
//   ◀─────────────── Declared + lane, page
//   Mapped(lane) ────────────────────────▶   seals it; readers may join from now on
//   AddTopic ────────────────────────────▶   joins every matching subscription
//   ◀───────────────── Reader + descriptors   ... for each, before the Ok: how to see its position
//   ◀─────────────────────────────────── Ok
//   Subscribe ───────────────────────────▶   joins every present publisher, here and on peers
//   ◀─────────────────── Join + descriptors   one for each lane, now and later
//   ◀─────────────────── Subscribed + event
//
// The node makes every descriptor; it never maps memory that a client made. Each side checks
// length, type and ranges of what it gets. A request carries a number that its answer repeats;
// Join, Reader, ReaderGone, Leave and Ended come unasked, with number 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/lane/layout.h"

namespace penstock::attach {

inline constexpr uint32_t kProtocolVersion = 4;
inline constexpr size_t kMaxPacket = 4096;
inline constexpr size_t kMaxDescriptors = 40;
inline constexpr uint32_t kMaxWorkers = 32;
inline constexpr size_t kNameBytes = 64;    // zero-terminated names of clients and publishers
inline constexpr size_t kTopicBytes = 256;  // zero-terminated topics and filters

enum class Type : uint32_t {
  // client to node
  kHello = 1,
  kMapped = 2,
  kDeclare = 3,
  kAddTopic = 4,
  kSubscribe = 5,
  kUnsubscribe = 6,
  kCloseLane = 7,
  kReleased = 8,
  kQuery = 9,
  kTenant = 10,
  // node to client
  kWelcome = 33,
  kDeclared = 34,
  kOk = 35,
  kError = 36,
  kSubscribed = 37,
  kJoin = 38,
  kReader = 39,
  kReaderGone = 40,
  kLeave = 41,
  kAnswer = 42,
  kEnded = 43,
};

struct Header {
  Type type;
  uint32_t request;  // chosen by the client, repeated by the answer; 0 in what comes unasked
};

struct Hello {
  Header header{Type::kHello, 0};
  uint32_t version = kProtocolVersion;
  uint32_t reserved = 0;
  char name[kNameBytes] = {};
};

// Before Hello, which is refused when there is no right to it. Without it: the first tenant that
// the node's rules give.
struct Tenant {
  Header header{Type::kTenant, 0};
  char name[kNameBytes] = {};
};

// Descriptors: position table (read-write), bell page (read-write), worker page (read-only), then
// one event per worker.
struct Welcome {
  Header header{Type::kWelcome, 0};
  uint32_t version = kProtocolVersion;
  uint32_t client_id = 0;
  uint64_t node_id = 0;
  uint64_t node_epoch = 0;
  uint32_t workers = 0;
  uint32_t reserved = 0;
};

// The client has mapped what the last Welcome (lane 0) or Declared gave it and closed the
// descriptor.
struct Mapped {
  Header header{Type::kMapped, 0};
  uint64_t lane_id = 0;
};

enum class Kind : uint32_t { kPublisher = 0, kPusher = 1 };

struct Declare {
  Header header{Type::kDeclare, 0};
  Kind kind = Kind::kPublisher;
  LaneGeometry geometry;  // {0, 0, 0}: the node's default
  char name[kNameBytes] = {};
};

// Descriptors: lane (read-write), node page (read-only).
struct Declared {
  Header header{Type::kDeclared, 0};
  uint64_t lane_id = 0;
  uint64_t epoch = 0;
  LaneGeometry geometry;
  uint32_t bell_slot = 0;  // bit of this lane in the bell page line of each worker
};

// The client has appended the row to the lane's topic table and asks the node to take note. Nothing
// may be published under the topic before the Ok.
struct AddTopic {
  Header header{Type::kAddTopic, 0};
  uint64_t lane_id = 0;
  uint32_t topic = 0;
  uint32_t reserved = 0;
  char name[kTopicBytes] = {};
};

enum class Mode : uint32_t { kBroadcast = 0, kGroup = 1 };

// What becomes of a subscription that is behind. The numbers are those of penstock_policy.
enum class Policy : uint32_t {
  kBlock = 0,
  kDropOldest = 1,
  kConflate = 2,
  kDisconnect = 3,
  kDropNewest = 4
};

struct Overflow {
  Policy policy = Policy::kBlock;
  uint32_t reserved = 0;
  uint64_t limit_messages = 0;  // 0: what the lane holds
  uint64_t limit_bytes = 0;     // of the arena; 0: what it holds
  uint64_t block_ns = 0;        // kBlock: how long it may hold a publisher back; 0: for ever

  constexpr bool holds_back() const {
    return policy == Policy::kBlock || policy == Policy::kDisconnect;
  }
  bool operator==(const Overflow&) const = default;
  constexpr bool limited() const { return limit_messages != 0 || limit_bytes != 0; }
  // Nothing in it that its policy has no use for.
  constexpr bool valid() const {
    switch (policy) {
      case Policy::kBlock:
        return !limited();
      case Policy::kConflate:
        return !limited() && block_ns == 0;
      case Policy::kDropOldest:
      case Policy::kDisconnect:
      case Policy::kDropNewest:
        return block_ns == 0;
    }
    return false;
  }
};

// How large messages of other nodes may come to a subscription. The numbers are those of
// penstock_path.
enum class PathPolicy : uint32_t { kAny = 0, kPrefer = 1, kRequireZeroCopy = 2 };

struct Subscribe {
  Header header{Type::kSubscribe, 0};
  Mode mode = Mode::kBroadcast;
  LaneGeometry inbox;  // group only; {0, 0, 0}: the node's default
  Overflow overflow;   // broadcast only, as is the next
  PathPolicy path = PathPolicy::kAny;
  uint32_t reserved = 0;
  char filter[kTopicBytes] = {};
};

// Descriptor: an epoll instance that becomes readable when a sleeping subscription has news. The
// client polls it and drains it with epoll_wait; it cannot touch the events inside.
struct Subscribed {
  Header header{Type::kSubscribed, 0};
  uint64_t subscription = 0;
};

// A lane to read. Descriptors: lane (read-only), node page (read-only).
struct Join {
  Header header{Type::kJoin, 0};
  uint64_t subscription = 0;
  uint64_t lane_id = 0;
  uint64_t start = 0;
  LaneGeometry geometry;
  uint32_t index = 0;       // mark in the node page
  uint32_t generation = 0;  // of this join
  uint32_t slot = 0;        // in the client's own position table
  uint32_t lossy = 0;       // 1: it holds nobody back
  uint32_t inbox = 0;       // 1: everything in it is for this subscription, no filter needed
  uint64_t origin_node = 0;
  char publisher[kNameBytes] = {};
};

// Somebody reads a lane of this client. Descriptors: the reader's position table (read-only),
// event.
struct Reader {
  Header header{Type::kReader, 0};
  uint64_t lane_id = 0;
  uint32_t index = 0;
  uint32_t generation = 0;
  uint64_t table = 0;  // names the position table: map each only once
  uint32_t slot = 0;
  int32_t worker = -1;  // >= 0: a worker of the node: ring its bell, not the event
};

struct ReaderGone {
  Header header{Type::kReaderGone, 0};
  uint64_t lane_id = 0;
  uint32_t index = 0;
  uint32_t generation = 0;
  uint64_t table = 0;  // not 0: the last reader with this table is gone, unmap it
};

// A lane that was joined is closed or the reader was evicted: read what is left, let go, answer
// Released.
struct Leave {
  Header header{Type::kLeave, 0};
  uint64_t subscription = 0;
  uint64_t lane_id = 0;
  uint32_t slot = 0;
  uint32_t generation = 0;
};

struct Released {
  Header header{Type::kReleased, 0};
  uint64_t lane_id = 0;
  uint32_t slot = 0;
  uint32_t generation = 0;
};

// The node has ended a subscription, too slow for its policy or without a right by now; its lanes
// end with a gap each.
struct Ended {
  Header header{Type::kEnded, 0};
  uint64_t subscription = 0;
  char text[kTopicBytes] = {};  // why and how to mend it, zero-terminated
};

struct Unsubscribe {
  Header header{Type::kUnsubscribe, 0};
  uint64_t subscription = 0;
};

struct CloseLane {
  Header header{Type::kCloseLane, 0};
  uint64_t lane_id = 0;
};

struct Query {
  Header header{Type::kQuery, 0};
  char text[kTopicBytes] = {};
};

// Descriptor: a read-only memfd with `bytes` bytes of JSON.
struct Answer {
  Header header{Type::kAnswer, 0};
  uint64_t bytes = 0;
};

struct Ok {
  Header header{Type::kOk, 0};
};

struct Error {
  Header header{Type::kError, 0};
  uint32_t code = 0;  // Errc
  // About no question: the low half of the id of the client's lane that is taken away; 0: of none,
  // and the node hangs up.
  uint32_t lane = 0;
  char text[kTopicBytes] = {};  // what and how to mend it, zero-terminated
};

// Written by the node: line w is worker w's armed word (odd: asleep, ring its event).
struct WorkerPage {
  struct alignas(kPair) Line {
    SharedWord armed;
  } worker[kMaxWorkers];
};
static_assert(sizeof(WorkerPage) == 4096);

}  // namespace penstock::attach
