// What a link and a lane know of messages that go down a chain (chain.h): those that this node
// passes on to the link's peer, and those that come to it by others. Owned by the link's worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/line.h"

namespace penstock {

class InLane;

// A message on its way from our mirror to the link's peer. It holds nothing in the mirror: when it
// is overwritten there before it is through, it ends, and its source sees to the rest.
struct Passing {
  uint64_t id = 0;  // 0: none
  InLane* from = nullptr;
  uint64_t position = 0;  // in our mirror
  uint64_t arena = 0;
  uint64_t len = 0;
  uint32_t connection = 0;  // of the peer's link with the source, and the lane there
  uint32_t alias = 0;
  uint32_t epoch = 0;
  uint64_t to_position = 0;
  uint64_t sent = 0;    // bytes
  uint32_t on_way = 0;  // pieces not acknowledged, those to be sent again included
  uint32_t again = 0;   // pieces sent once more since the last that arrived
};

// Of a link: messages that go on to its peer, oldest first.
struct Passings {
  std::array<Passing, 64> list;
  size_t count = 0;
  uint64_t next_id = 1;
  bool ready = false;  // some may have more to send

  Passing* find(uint64_t id) {
    for (size_t i = 0; i < count; i++)
      if (list[i].id == id) return &list[i];
    return nullptr;
  }
};

// Of a mirror: which messages come by which relay, the last of them, and what its source was told.
struct RelayedLane {
  struct Expected {
    uint64_t position = 0;
    uint64_t node = 0;  // 0: none
  };
  std::array<Expected, 64> expected;
  size_t next = 0;
  uint32_t passings = 0;  // of its messages, on all links
  uint32_t puts = 0;      // of its messages that peers put here, or that are put on to peers
  static constexpr size_t kMostHeld = 256;
  // Where these lie: nothing there may be written anew.
  struct Held {
    uint64_t position;
    uint64_t arena;
  };
  std::vector<Held> held;
  std::vector<uint64_t> refused;  // positions that its source has to hear of
  bool reporting = false;
  uint64_t news = 0;  // bytes since the last report
  uint64_t report_position = 0;
  uint64_t report_landed = 0;
};

// Written by the worker, read by metrics.
struct alignas(kPair) RelayStats {
  Counter frames_out, bytes_out;  // pieces passed on to the peer
  Counter frames_in, bytes_in;    // such as came from it
  Counter put_bytes_in;           // of its messages that other peers have put
  Counter unexpected;             // of these, such as nobody had announced
  Counter refused;                // PASS from the peer that could not be followed
  Counter gone;  // messages that ended before they were through: overwritten, or not taken
};

}  // namespace penstock
