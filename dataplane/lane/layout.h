// The lane as bytes: what other processes map. A change here breaks every client that is not
// rebuilt, so every offset is asserted, and kLaneVersion counts the changes.
//
// Four kinds of memory, each with exactly one writer:
//
//   lane            written by its one publisher (or by the node: mirrors, inboxes)
//     0             LaneHeader    4096 B    geometry; head and reserve of the writer
//     topics_at     Topic[n]      320 B     append-only: id is the index
//     ring_at       Descriptor[]  32 B      power of two; slot = position & (n - 1)
//     extras_at     Extra[]       32 B      as many: what a message has that is not plain
//     arena_at      bytes                   power of two; byte = arena position & (size - 1)
//   node page       written by the node, one per lane: who reads it, since when, who is evicted
//   position table  written by one reading client (or worker): a ReaderSlot per lane it reads
//   bell page       set by one client, taken by the node: "this lane has something new"
//
// What another process wrote is copied, then checked, then used.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"

namespace penstock {

inline constexpr uint64_t kLaneMagic = 0x314b4c4e45505350;  // "PSPENLK1", little-endian
inline constexpr uint32_t kLaneVersion = 5;
inline constexpr uint32_t kMaxReaders = 128;     // per lane, on one host
inline constexpr uint32_t kMaxTopicName = 255;   // bytes
inline constexpr uint32_t kPositionSlots = 512;  // lanes that one client can read at once
inline constexpr uint64_t kArenaAlign = 64;
// No lane lives that long (a century at a billion a second): who says so scribbles.
inline constexpr uint64_t kMaxPosition = uint64_t{1} << 62;

// Sizes of one lane. Chosen at set-up, told to every party by the node, never read back from
// memory that a publisher can write.
struct LaneGeometry {
  uint32_t ring_log2 = 10;   // 2^n descriptors
  uint32_t arena_log2 = 22;  // 2^n bytes
  uint32_t topics = 256;     // rows of the topic table

  constexpr uint64_t ring_size() const { return uint64_t{1} << ring_log2; }
  constexpr uint64_t arena_size() const { return uint64_t{1} << arena_log2; }
  constexpr bool valid() const {
    return ring_log2 >= 2 && ring_log2 <= 24 && arena_log2 >= 12 && arena_log2 <= 36 &&
           topics >= 1 && topics <= 65536;
  }
  constexpr uint64_t topics_at() const { return 4096; }
  constexpr uint64_t ring_at() const { return page_up(topics_at() + uint64_t{topics} * 320); }
  constexpr uint64_t extras_at() const { return ring_at() + ring_size() * 32; }
  constexpr uint64_t arena_at() const { return page_up(extras_at() + ring_size() * 32); }
  constexpr uint64_t total_bytes() const { return page_up(arena_at() + arena_size()); }

  bool operator==(const LaneGeometry&) const = default;

 private:
  static constexpr uint64_t page_up(uint64_t n) { return (n + 4095) & ~uint64_t{4095}; }
};

struct LaneHeader {
  // Written once, before anybody else maps it.
  uint64_t magic;
  uint32_t version;
  uint32_t ring_log2;
  uint32_t arena_log2;
  uint32_t topics;
  uint64_t lane_id;
  uint64_t epoch;
  // Written by the publisher at each message.
  alignas(kPair) SharedWord head;  // messages published
  // Written by the publisher now and then.
  alignas(kPair) SharedWord reserved;  // what lies an arena before it may be overwritten already
  SharedWord topic_count;
  SharedWord held;  // 1 + the head at which it last found no room
};
static_assert(sizeof(LaneHeader) == 384 && offsetof(LaneHeader, head) == 128);
static_assert(offsetof(LaneHeader, reserved) == 256 && offsetof(LaneHeader, topic_count) == 264);
static_assert(offsetof(LaneHeader, held) == 272);
static_assert(offsetof(LaneHeader, version) == 8 && offsetof(LaneHeader, ring_log2) == 12);
static_assert(offsetof(LaneHeader, arena_log2) == 16 && offsetof(LaneHeader, topics) == 20);
static_assert(offsetof(LaneHeader, lane_id) == 24 && offsetof(LaneHeader, epoch) == 32);

struct Topic {
  SharedWord len;  // stored last: a row with len 0 is not there yet
  char name[312];
};
static_assert(sizeof(Topic) == 320 && offsetof(Topic, name) == 8);

// Flags of a message.
//   gap: no message: `key` messages will not come, for reason `parts` (a Drop)
//   copied: only in a mirror: it is large, and came by frames, so it was copied on its way here
//   extra: only in a descriptor: there is more in the Extra of the same slot
inline constexpr uint16_t kFlagGap = 1;
inline constexpr uint16_t kFlagCopied = 2;
inline constexpr uint16_t kFlagExtra = 128;

// One message. The writer clears the stamp, writes the rest, then stamps; a reader copies between
// two looks at the stamp, because a reader that does not hold the writer back (lossy, or evicted)
// can be lapped while it copies. Two descriptors share a cache line: at small messages the lines
// that change owner are what a message costs.
struct alignas(32) Descriptor {
  SharedWord stamp;           // position + 1; 0 while it changes
  Raced<uint64_t> arena_pos;  // arena position of the first byte: counts up for ever
  Raced<uint64_t> shape;      // see pack_shape
  Raced<uint64_t> time_ns;    // publisher's CLOCK_REALTIME, or 0 when it does not stamp
};
static_assert(sizeof(Descriptor) == 32 && offsetof(Descriptor, stamp) == 0);
static_assert(offsetof(Descriptor, arena_pos) == 8 && offsetof(Descriptor, shape) == 16);
static_assert(offsetof(Descriptor, time_ns) == 24);

// What a message says besides, when it is not of one part, without a key, and first published here
// at this position.
struct alignas(32) Extra {
  Raced<uint64_t> key;     // sticky routing key, 0 = none
  Raced<uint64_t> source;  // position in the lane where it was first published
  Raced<uint64_t> origin;  // id of that lane
  Raced<uint64_t> parts;   // 1, or the number of parts (then a table of u32 lengths in front)
};
static_assert(sizeof(Extra) == 32 && offsetof(Extra, key) == 0 && offsetof(Extra, source) == 8);
static_assert(offsetof(Extra, origin) == 16 && offsetof(Extra, parts) == 24);

//   63      56 55               40 39                                                          0
//   [  flags  ][  topic: row of   ][  len: bytes, all parts and the part table included        ]
//              [  the topic table ]
constexpr uint64_t pack_shape(uint64_t len, uint32_t topic, uint32_t flags) {
  return uint64_t{flags} << 56 | uint64_t{topic & 0xffff} << 40 | len;
}
constexpr uint64_t shape_len(uint64_t shape) {
  return shape & ((uint64_t{1} << 40) - 1);
}
constexpr uint32_t shape_topic(uint64_t shape) {
  return static_cast<uint32_t>(shape >> 40 & 0xffff);
}
constexpr bool shape_is_plain(uint64_t shape, uint64_t topic) {
  return shape >> 40 == topic;  // no flags, and that topic
}
constexpr uint16_t shape_flags(uint64_t shape) {
  return static_cast<uint16_t>(shape >> 56);
}

// A reader's state as the node sees it, in the node page.
enum class ReaderState : uint8_t {
  kFree = 0,
  kReliable = 1,  // holds the writer back
  kLossy = 2,     // does not: it copies and checks
  kEvicted = 3,   // removed by the node; the writer ignores it, the reader learns of it here
};

// `state` packs ReaderState in bits 0..7, why it was evicted (a Drop) in bits 8..15, and the join's
// generation in bits 32..63, so that a slot that was reused is told from the one before.
struct ReaderMark {
  SharedWord state;
  SharedWord start;  // first position of this reader; kStartUnknown while the node finds out
};
static_assert(sizeof(ReaderMark) == 16);

inline constexpr uint64_t kStartUnknown = ~uint64_t{0};

constexpr uint64_t pack_mark(ReaderState state, uint32_t generation, uint8_t why = 0) {
  return uint64_t{generation} << 32 | uint64_t{why} << 8 | static_cast<uint64_t>(state);
}
constexpr ReaderState mark_state(uint64_t packed) {
  return static_cast<ReaderState>(packed & 0xff);
}
constexpr uint8_t mark_why(uint64_t packed) {
  return static_cast<uint8_t>(packed >> 8);
}
constexpr uint32_t mark_generation(uint64_t packed) {
  return static_cast<uint32_t>(packed >> 32);
}

struct NodePage {
  SharedWord generation;  // +1 at each change of a mark
  SharedWord closed;      // 0, or a CloseReason: no more messages will come than are there
  SharedWord ending;      // for the publisher, before `closed`: what it commits now may be too late
  uint64_t pad[5];
  ReaderMark marks[kMaxReaders];
  uint8_t rest[4096 - 64 - kMaxReaders * sizeof(ReaderMark)];
};
static_assert(sizeof(NodePage) == 4096 && offsetof(NodePage, marks) == 64);
static_assert(offsetof(NodePage, closed) == 8);

enum class CloseReason : uint8_t {
  kOpen = 0,
  kPublisherLeft = 1,
  kPublisherDied = 2,
  kPeerDown = 3,
  kNodeStopped = 4
};

// One lane as one client (or worker) reads it. The writer takes the slot as valid only while
// `generation` equals the join's; until then the mark's start holds it back.
struct alignas(kPair) ReaderSlot {
  SharedWord position;    // messages consumed: the credit to the writer, absolute
  SharedWord generation;  // of the join
  SharedWord overrun;     // of `position`: messages that a lossy reader missed
  SharedWord malformed;   // of `position`: descriptors that made no sense, here or further up
  SharedWord too_big;     // of `position`: notices of messages that were too big on their way
  // A client's, counted apart from all of the above by who hands messages on: those that the
  // program got, and those that it was spared because it did not ask for them.
  SharedWord shown;
  SharedWord skipped;
  SharedWord shed;  // of `position`: messages that its policy passed over, overruns apart
  // A line of its own: written only when the reader goes to sleep or wakes.
  alignas(kLine) SharedWord armed;  // odd: wake me when something comes; even: I am awake
};
static_assert(sizeof(ReaderSlot) == 128 && offsetof(ReaderSlot, armed) == 64);
static_assert(offsetof(ReaderSlot, generation) == 8 && offsetof(ReaderSlot, too_big) == 32);
static_assert(offsetof(ReaderSlot, shown) == 40 && offsetof(ReaderSlot, skipped) == 48);
static_assert(offsetof(ReaderSlot, shed) == 56);

// How long stamped messages took until their program had them, by the clocks of both ends: bucket i
// counts those of at most 2^i us (and more than the one before), the last one all that took longer.
inline constexpr uint32_t kDelayBuckets = 25;

struct alignas(kPair) DelayCounts {
  SharedWord buckets[kDelayBuckets];
  SharedWord sum_ns;

  void count(uint64_t ns) {
    const uint64_t us = ns / 1000 + (ns % 1000 != 0 ? 1 : 0);
    const auto bits = us <= 1 ? 0u : static_cast<uint32_t>(std::bit_width(us - 1));
    SharedWord& bucket = buckets[std::min(bits, kDelayBuckets - 1)];
    bucket.store(bucket.load_relaxed() + 1);
    sum_ns.store(sum_ns.load_relaxed() + ns);
  }
};

// A client's (or worker's) position table: one memfd, mapped read-only by the writers it reads.
struct PositionTable {
  ReaderSlot slots[kPositionSlots];
  DelayCounts delays;  // a client's
};
static_assert(sizeof(PositionTable) == 65536 + 256);

// Doorbells of one client to the workers: bit n = "lane slot n of this client was published to".
// Hints only: a lost bell costs latency, never a message, because workers also sweep.
struct BellPage {
  struct alignas(kPair) Line {
    SharedWord bits[8];
  } worker[32];
};
static_assert(sizeof(BellPage) == 4096);

// Arena arithmetic, the same on both ends of a link. A message is contiguous: one that would
// straddle the end of the arena starts at its beginning instead.
// Returns the arena position at which `len` bytes are placed when the arena is filled up to `at`.
constexpr uint64_t arena_place(uint64_t at, uint64_t len, uint64_t arena_size) {
  const uint64_t offset = at & (arena_size - 1);
  if (offset + len > arena_size) [[unlikely]]
    return at + (arena_size - offset);
  return at;
}

// The fill after a message of `len` bytes at `start`.
constexpr uint64_t arena_next(uint64_t start, uint64_t len) {
  return start + ((len + kArenaAlign - 1) & ~(kArenaAlign - 1));
}

}  // namespace penstock
