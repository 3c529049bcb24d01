// NodeNumbers: what a node counts, read at one time, as plain numbers. Metrics are made of it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dataplane/base/drop.h"
#include "dataplane/lane/layout.h"

namespace penstock {

// Who reads a lane: a client, a link to a peer, a group (for its members' inboxes, which clients
// read).
enum class Taker : uint8_t { kClient, kLink, kGroup };
inline constexpr size_t kTakers = 3;
inline constexpr const char* kTakerText[kTakers] = {"client", "link", "group"};

// Messages from peers, by their way here.
struct Came {
  uint64_t put = 0, put_bytes = 0;        // by RDMA, straight to where readers find them
  uint64_t framed = 0, framed_bytes = 0;  // by frames: copied once
  uint64_t copied = 0, copied_bytes = 0;  // of these, large ones, for which RDMA is meant

  void add(const Came& o) { add(o, Came()); }
  // Without what was there before. What is derived of several counters may seem to shrink
  // for a moment.
  void add(const Came& o, const Came& before) {
    const auto grow = [](uint64_t& n, uint64_t now, uint64_t then) {
      n += now - std::min(now, then);
    };
    grow(put, o.put, before.put), grow(put_bytes, o.put_bytes, before.put_bytes);
    grow(framed, o.framed, before.framed), grow(framed_bytes, o.framed_bytes, before.framed_bytes);
    grow(copied, o.copied, before.copied), grow(copied_bytes, o.copied_bytes, before.copied_bytes);
  }
};

// Sums that only grow, whatever ends.
struct Counted {
  uint64_t published = 0;        // messages of clients here
  uint64_t published_bytes = 0;  // that they take in arenas, where each begins at a multiple of 64
  std::array<uint64_t, kTakers> delivered{};  // messages
  Came came;
  uint64_t gaps = 0;                             // notices in place of messages, from peers
  uint64_t stalls = 0;                           // times a forward waited for room in a mirror
  std::array<uint64_t, kDelayBuckets> delays{};  // stamped messages, by how long they took
  uint64_t delays_ns = 0;                        // all of these
};

struct NodeNumbers {
  struct Worker {
    uint64_t turns = 0, busy_turns = 0, sleeps = 0;
    uint64_t busy_ns = 0, longest_ns = 0;
    bool stuck = false;
  };
  struct Port {  // all its queues
    std::string name;
    bool up = false;
    uint64_t rx_frames = 0, rx_bytes = 0, tx_frames = 0, tx_bytes = 0;
    uint64_t rx_missed = 0, rx_errors = 0, tx_errors = 0, no_buffers = 0;
    uint64_t buffers = 0, buffers_free = 0;
  };
  struct Path {
    std::string peer;
    uint64_t peer_id = 0;
    uint32_t path = 0;
    bool up = false;         // has a session
    bool connected = false;  // and a connection
    uint64_t rtt_ns = 0;
    uint64_t packets_sent = 0, packets_received = 0, bytes_sent = 0, bytes_received = 0;
    uint64_t retransmitted = 0, lost = 0, spurious = 0, sessions = 0, reconnects = 0;
  };
  struct Rail {  // a way by RDMA beside a path
    std::string peer;
    uint64_t peer_id = 0;
    uint32_t path = 0, rail = 0;
    std::string device;
    bool up = false;
    uint64_t bytes_per_s = 0;  // that it carries
    uint64_t sent = 0, received = 0, bytes_sent = 0, bytes_received = 0;
    uint64_t copied_bytes = 0, errors = 0;
  };

  Counted counted;
  std::map<Drop, uint64_t> drops;
  std::array<uint64_t, kTakers> in_flight{};  // messages
  uint64_t oldest_ns = 0;  // of messages that wait for a reader; at least, and exact to a second
  uint64_t clients = 0, subscriptions = 0;
  uint64_t lanes = 0, mirrors = 0, inboxes = 0;
  uint64_t lane_bytes = 0, lane_huge_bytes = 0;  // memory of all these
  std::vector<Worker> workers;
  std::vector<Port> ports;
  std::vector<Path> paths;
  std::vector<Rail> rails;
  uint64_t uptime_ns = 0;
};

}  // namespace penstock
