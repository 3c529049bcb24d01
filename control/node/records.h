// What the node knows: clients, lanes, subscriptions, groups, peers. Plain data of the control
// thread; the objects that a worker uses are made here, lent by an errand and taken back by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/attach/session.h"
#include "control/node/errand.h"
#include "control/node/peer_protocol.h"
#include "control/node/peer_records.h"
#include "control/node/tables.h"
#include "control/rights/rights.h"
#include "dataplane/base/drop.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/sealed_memory.h"
#include "dataplane/forward.h"
#include "dataplane/group.h"
#include "dataplane/lane/node_page.h"
#include "dataplane/lane/writer.h"
#include "dataplane/link/in_lane.h"
#include "dataplane/worker.h"

namespace penstock {

struct ClientRecord;
struct ForwardRecord;
struct GroupRecord;
struct LaneRecord;
struct PeerRecord;
struct SourceRecord;
struct Subscription;

// A position table and who may use it: a client's, or a worker's.
struct PositionTableRecord {
  uint64_t id = 0;  // names it to publishers
  SealedMemory memory;
  Mapping map;  // a client's: read-only here
  PositionSlots slots;

  ReaderSlot* slot(uint32_t i) { return &reinterpret_cast<PositionTable*>(map.data())->slots[i]; }
};

// A name that somebody else chose, without what a terminal would take for a command.
inline std::string clean(std::string_view name) {
  std::string s;
  for (const char c : name)
    s += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return s;
}

// What has become of the messages that a reader was owed.
struct Totals {
  uint64_t position = 0;   // of the reader in its lane: it let go of what lies before
  uint64_t in_flight = 0;  // both mean nothing in the books of several
  uint64_t sent = 0;
  uint64_t delivered = 0;
  std::map<Drop, uint64_t> dropped;

  // Of what counts as delivered, so many were not.
  void lose(Drop why, uint64_t n) {
    const uint64_t lost = n < delivered ? n : delivered;
    if (lost == 0) return;
    delivered -= lost;
    dropped[why] += lost;
  }
  void add(const Totals& other) {
    sent += other.sent;
    delivered += other.delivered;
    for (const auto& [why, n] : other.dropped)
      dropped[why] += n;
  }
};

inline uint64_t settled(const Totals& t) {
  uint64_t n = t.delivered;
  for (const auto& [why, lost] : t.dropped)
    n += lost;
  return n;
}

// From where on a peer that is away gets nothing of a lane that it wants. If it comes back in the
// same life its readers are told.
struct Missed {
  uint64_t peer_epoch = 0;
  uint64_t from = 0;
};

// One reader of one lane: a client's subscription, a forward to a peer, or a group's source.
struct ReaderRecord {
  LaneRecord* lane = nullptr;
  uint32_t index = 0;
  uint32_t generation = 0;
  uint64_t start = 0;
  bool lossy = false;
  bool evicted = false;
  bool lied = false;          // about its position: what it says counts no more
  Drop why = Drop::kEvicted;  // ... it was
  uint64_t last_seen = 0;     // position at the last check
  uint64_t held_since = 0;    // it holds a full publisher back there; 0: it does not
  bool slow = false;          // and is said to
  Came before;                // of a mirror: what had come when it joined
  Came seen;                  // and when it was last looked at,
  bool slow_path = false;     // since when it is said that large ones are copied
  uint64_t mark = 0;          // what lies before it was there at the time that follows
  uint64_t marked_at = 0;
  PositionTableRecord* table = nullptr;
  uint32_t slot = 0;
  Subscription* subscription = nullptr;  // one of the three
  ForwardRecord* forward = nullptr;
  SourceRecord* source = nullptr;
  Fd event;  // kept for lanes that a worker writes

  ReaderSlot* position() const { return table->slot(slot); }
  // What it says that it let go of; nothing before it has taken its slot over.
  uint64_t let_go() const {
    const ReaderSlot& s = *position();
    return s.generation.load() == generation ? s.position.load() : std::max(start, last_seen);
  }
};

enum class LaneKind : uint8_t { kLane, kMirror, kInbox };

struct LaneRecord {
  uint64_t id = 0;
  uint64_t epoch = 0;
  LaneKind kind = LaneKind::kLane;
  std::string name;
  std::string rule;  // of the client that it is made for: its bytes count there
  bool pusher = false;
  uint64_t parted = 0;  // what came before this position is in the books of readers that left
  LaneGeometry geometry;
  SealedMemory memory;
  Mapping map;
  SealedMemory page_memory;
  Mapping page_map;
  LaneDesk desk;
  Region region;
  uint32_t worker = 0;  // forwards it; mirror and inbox: writes it
  BellPage* bells = nullptr;
  uint32_t bell_slot = 0;
  std::vector<std::string> topics;                            // by id; empty: not declared
  std::map<uint32_t, std::unique_ptr<ReaderRecord>> readers;  // by mark
  std::unique_ptr<Chain> chain;                               // the worker's, for its forwards
  std::vector<std::unique_ptr<ForwardRecord>> forwards;       // to peers, broadcast and group
  Totals left;                                                // of readers that are no more
  std::map<uint64_t, Missed> missed;                          // by node id

  ClientRecord* publisher = nullptr;    // a client's lane, until the client is gone
  std::shared_ptr<ClientRecord> keep;   // then: its bell page is still in use
  Subscription* inbox_of = nullptr;     // an inbox
  std::unique_ptr<LaneWriter> writer;   // mirror, inbox: the worker's
  std::unique_ptr<GroupMember> member;  // inbox: the worker's

  // A mirror.
  PeerRecord* peer = nullptr;
  uint32_t path = 0;
  uint32_t alias = 0;
  uint32_t alias_epoch = 0;
  uint64_t origin_lane = 0;
  std::string group;  // not empty: its messages are for members of this group only
  std::unique_ptr<InLane> in;
  bool held_there = false;

  // Its arena, where the peer may put, by the devices that know it.
  std::map<FabricRow*, const Registered*> put_memory;

  bool refused = false;  // the log says that a peer has no row for a topic of it
  bool sealed = false;   // readers may join
  bool closed = false;   // no more messages will come
  bool ending = false;   // mirror: the worker is letting go of it
  bool dying = false;    // no reader is left, the worker is letting go of it
  bool unused = false;   // it has let go: only frames in flight keep the lane
  CloseReason reason = CloseReason::kOpen;
  uint64_t end_by = 0;  // not 0: its publisher lost the right to it, and nobody reads it after that

  const LaneHeader* header() const { return reinterpret_cast<const LaneHeader*>(map.data()); }
  NodePage* page() const { return reinterpret_cast<NodePage*>(page_map.data()); }
  // Messages published. It is the stamp that publishes; the header's head follows one store later,
  // or a burst later, and a writer can be stopped in between for as long as one likes.
  uint64_t head() const {
    constexpr uint64_t kMostUncounted = 4096;  // a publisher that scribbles cannot keep us here
    uint64_t counted = header()->head.load();
    if (closed && counted != 0 && !stamped(counted - 1)) counted = reached();
    uint64_t head = counted;
    while (head - counted < kMostUncounted && stamped(head))
      head++;
    return head;
  }
  // Its publisher finds no room: it did at this head, or, of a mirror, its node says so.
  bool held(uint64_t head) const {
    return kind == LaneKind::kMirror ? held_there : header()->held.load() == head + 1;
  }
  // The message at this position is there.
  bool stamped(uint64_t position) const {
    const auto* ring = reinterpret_cast<const Descriptor*>(map.data() + geometry.ring_at());
    return ring[position & (geometry.ring_size() - 1)].stamp.load() == position + 1;
  }
  // A mirror: its messages, by their way here.
  Came came() const {
    if (in == nullptr) return {};
    const InLaneStats& s = in->stats();
    Came c{.put = s.put.read(),
           .put_bytes = s.put_bytes.read(),
           .copied = s.copied.read(),
           .copied_bytes = s.copied_bytes.read()};
    // Gaps are no messages.
    c.framed = s.delivered.read() - std::min(s.delivered.read(), s.gaps.read() + c.put);
    c.framed_bytes = s.bytes.read() - std::min(s.bytes.read(), c.put_bytes);
    return c;
  }
  // What lies in the arena from the message at `position` on; at most all of it.
  uint64_t bytes_from(uint64_t position) const;
  // The furthest that somebody has been seen: what a lane holds whose header was scribbled on.
  uint64_t reached() const;
  // What a peer misses since its latest life counts, from the first on.
  void miss(uint64_t node, const Missed& m) {
    Missed& known = missed.try_emplace(node, m).first->second;
    if (m.peer_epoch > known.peer_epoch) known = m;
    if (m.peer_epoch == known.peer_epoch) known.from = std::min(known.from, m.from);
  }
};

inline uint64_t LaneRecord::bytes_from(uint64_t position) const {
  const uint64_t end = head();
  if (position >= end || !stamped(position) || !stamped(end - 1)) return 0;
  const auto* ring = reinterpret_cast<const Descriptor*>(map.data() + geometry.ring_at());
  const Descriptor& first = ring[position & (geometry.ring_size() - 1)];
  const Descriptor& last = ring[(end - 1) & (geometry.ring_size() - 1)];
  const uint64_t bytes =
      arena_next(last.arena_pos.get(), shape_len(last.shape.get())) - first.arena_pos.get();
  return std::min(bytes, geometry.arena_size());  // a publisher may scribble
}

inline uint64_t LaneRecord::reached() const {
  uint64_t head = parted;
  for (const auto& [index, r] : readers) {
    const bool ours = r->subscription == nullptr;  // a worker's
    head = std::max({head, r->start, ours ? r->position()->position.load() : r->last_seen});
  }
  return head;
}

// What a client waits for before its Subscribe is answered.
struct Waiting {
  uint32_t request = 0;
  uint64_t deadline = 0;
  std::set<uint64_t> peers;  // that have not acknowledged, by node id
};

struct Subscription {
  uint64_t id = 0;
  ClientRecord* client = nullptr;
  Mode mode = Mode::kBroadcast;
  std::string filter;
  attach::Overflow overflow;
  attach::PathPolicy path = attach::PathPolicy::kAny;
  Came came;                                // of mirrors that it reads no more
  bool over = false;                        // the node has ended it
  Fd news;                                  // the epoll instance that the client waits on
  std::map<uint64_t, ReaderRecord*> lanes;  // by lane id
  GroupRecord* group = nullptr;
  LaneRecord* inbox = nullptr;
  std::optional<Waiting> waiting;
};

struct ClientRecord {
  enum class State : uint8_t { kConnected, kWelcomed, kAttached };

  uint32_t id = 0;
  State state = State::kConnected;
  std::string name;
  Principal who;
  std::string tenant;          // before it is welcomed: that it asks for, empty: none
  std::string rule;            // that let it in; empty: there are none
  std::set<uint64_t> revoked;  // its lanes that rules have ended
  std::unique_ptr<Session> session;
  PositionTableRecord positions;
  SealedMemory bell_memory;
  Mapping bell_map;
  BellSlots bell_slots;
  std::vector<Fd> worker_events;          // one a worker: the client rings it
  std::map<uint64_t, LaneRecord*> lanes;  // that it publishes
  std::map<uint64_t, std::unique_ptr<Subscription>> subscriptions;
  std::map<uint64_t, uint32_t> tables;  // position tables that it has mapped: readers of each
  uint64_t since = 0;
  bool turned_out = false;  // it was told why, and is detached at the next poll

  BellPage* bells() { return reinterpret_cast<BellPage*>(bell_map.data()); }
};

// A lane that a group reads.
struct SourceRecord {
  GroupRecord* group = nullptr;
  LaneRecord* lane = nullptr;
  ReaderRecord* reader = nullptr;
  std::unique_ptr<GroupSource> source;
  std::map<Drop, uint64_t> lost;  // of what peers took that are no members any more
  bool leaving = false;
};

// All subscriptions in group mode with one filter, here and at peers.
struct GroupRecord {
  std::string filter;
  uint32_t worker = 0;
  Group group;                                                // the worker's
  std::vector<Subscription*> members;                         // here
  std::vector<std::string> topics;                            // rows of every inbox's topic table
  std::map<uint64_t, std::unique_ptr<SourceRecord>> sources;  // by lane id
};

// A lane on its way to a peer: for its broadcast subscriptions (group null), or for its members of
// a group.
struct ForwardRecord {
  enum class Use : uint8_t { kAsked, kReady, kRefused };

  PeerRecord* peer = nullptr;
  LaneRecord* lane = nullptr;
  GroupRecord* group = nullptr;
  LinkPath* path = nullptr;
  uint32_t path_index = 0;
  uint32_t alias = 0;
  uint64_t epoch = 0;  // of the peer
  std::map<uint32_t, Use> topics;
  std::map<uint32_t, uint32_t> asks;     // how often the peer was asked for a topic
  std::set<uint32_t> put_off;            // asked, and the peer was not ready: asked again
  LaneGeometry mirror;                   // as the peer said
  ReaderRecord* reader = nullptr;        // broadcast
  uint64_t owed_from = 0;                // what lies before the reader's start from here on: a gap
  std::unique_ptr<Forward> forward;      // broadcast, once the peer is ready
  std::unique_ptr<RemoteMember> remote;  // group, once the peer is ready
  Forward::Shed shed;                    // broadcast
  PutWays puts;                          // by rail
  bool zero_copy = false;                // somebody there requires it:
  uint64_t held_since = 0;               // a message waits for RDMA; 0: none does
  bool gave_up = false;                  // one did for too long: none does before there is RDMA
  bool waits = false;                    // and the log says so
  // Changes of it that the worker has not made: nobody is told before the last of them is.
  std::shared_ptr<uint32_t> shedding = std::make_shared<uint32_t>(0);
  bool held = false;  // the peer was told that the publisher waits for it
  bool ending = false;
  bool lost = false;   // because the peer is
  bool again = false;  // somebody wants it once more, when it is gone
};

}  // namespace penstock
