// What the node knows of its peers: their paths, their wishes, and those that left. Plain data of
// the control thread, as in records.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/node/numbers.h"
#include "control/node/peer_protocol.h"
#include "control/node/rdma_records.h"
#include "control/node/tables.h"
#include "dataplane/forward.h"
#include "dataplane/lane/node_page.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"
#include "dataplane/link/in_lane.h"
#include "dataplane/link_path.h"
#include "dataplane/net_port.h"

namespace penstock {

using attach::Mode;

// In place of a topic: until the worker knows what it may pass over. (kNoTopic: until a forward
// that is ending has ended.)
inline constexpr uint32_t kShedding = UINT32_MAX - 1;

// What a peer wants, and who of ours waits until it has it.
struct Interest {
  Mode mode = Mode::kBroadcast;
  std::string filter;
  attach::Overflow overflow = {};
  attach::PathPolicy path = attach::PathPolicy::kAny;  // the strictest of all who share it
  std::set<std::pair<uint32_t, uint32_t>> waiting;     // alias, topic or kNoTopic or kShedding
  bool acknowledged = false;
};

struct PathRecord {
  std::unique_ptr<LinkPath> path;
  NetPort* net = nullptr;  // the queue that it goes through, polled by its worker
  uint32_t worker = 0;
  std::string port;   // its name, for tables
  std::string local;  // our end, for tables
  bool up = false;
  uint64_t up_since = 0;
  uint64_t session = 0;  // that is up: errands for it act in no other
  bool refused = false;  // the peer does, and the log says so
  bool suspect = false;
  Came came;                                      // by mirrors that are no more
  std::unique_ptr<Rails> rails;                   // beside it
  std::vector<std::unique_ptr<RdmaRecord>> rdma;  // these: one for each device of its worker
};

// Both lanes of the control channel, in this process only.
struct ControlChannel {
  struct PrivateLane {
    explicit PrivateLane(uint64_t id);
    // Zeros that take no memory before they are used: nearly all of it, for most peers.
    std::unique_ptr<std::byte, decltype(&std::free)> storage;
    std::byte* memory = nullptr;  // aligned
    std::unique_ptr<NodePage> page;
    LaneDesk desk;
    ReaderSlot slot;
    LaneReader::Join join;
  };
  explicit ControlChannel(uint64_t id);

  PrivateLane out;
  PrivateLane in;
  LaneWriter writer;                   // we write
  std::unique_ptr<Forward> forward;    // the worker's
  std::unique_ptr<LaneWriter> mirror;  // the worker's
  std::unique_ptr<InLane> in_lane;     // the worker's
  LaneReader reader;                   // we read
  uint32_t bell_slot = 0;
};

// What one peer may cost this node.
inline constexpr size_t kMostInterests = 4096;
inline constexpr size_t kMostMirrors = kBellSlots / 2;
inline constexpr size_t kPauseBacklog = 4096;    // messages for it: it is not heard until it reads
inline constexpr size_t kMostBacklog = 1 << 16;  // it does not read at all
inline constexpr uint32_t kMessagesEach = 64;    // of a peer a poll: one that floods waits

struct PeerRecord {
  uint64_t id = 0;
  std::string name;
  std::vector<PathRecord> paths;
  std::shared_ptr<ControlChannel> channel;  // while path 0 is up
  std::deque<std::vector<std::byte>> backlog;
  std::map<uint64_t, Interest> interests;   // its, by its key
  std::map<uint64_t, peer::SubAdd> denied;  // by its key: what the rules do not let it have
  std::set<std::string> absent;             // filters that it had when it was lost,
  uint64_t absent_epoch = 0;                // in this life
  uint32_t next_alias = 1;
  uint64_t epoch = 0;
  bool cut = false;  // its links are being closed, for good

  // It was removed.
  uint64_t take_off_at = 0;    // its links have had time to say so
  size_t on_workers = 0;       // paths that a worker still has
  bool off = false;            // none has: the links are freed
  std::function<void()> gone;  // told then

  bool up() const { return channel != nullptr; }
};

// What is remembered of a peer that was removed, in case it comes back in the same life: it must
// learn what it missed.
struct FormerPeer {
  uint64_t id = 0;
  uint64_t epoch = 0;
  std::set<std::string> absent;
  uint64_t absent_epoch = 0;
  bool cut = false;
};
inline constexpr size_t kMostFormer = 256;

template <class F>
void each_rail(PeerRecord& p, F&& f) {
  for (PathRecord& path : p.paths)
    for (auto& r : path.rdma)
      f(*r);
}

// What events about it name.
inline std::string rail_name(const RdmaRecord& r) {
  return "node " + std::to_string(r.peer.id) + " path " + std::to_string(r.index) + " rail " +
         std::to_string(r.rail);
}

// Something we want of every peer: one for all local subscriptions with this mode and filter.
struct Wish {
  uint64_t key = 0;
  uint32_t users = 0;
};

}  // namespace penstock
