// What two processes of one host see of each other over ShmFabric. Each device has one table, which
// only it can write; each peer that puts to it gets a ring of immediates of its own.
//
//   ShmTable  [ regions: which memory, where in which segment ][ endpoints: who is joined ]
//   ShmRing   [ head: reader ][ tail, visit: writer ][ immediates: a power of two ]
//
// What the other process wrote is copied, then checked, then used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"
#include "rdma/visit.h"

namespace penstock {

inline constexpr uint32_t kShmRegions = 4096;
inline constexpr uint32_t kShmEndpoints = 256;
inline constexpr uint32_t kShmSegments = 256;          // files that regions lie in
inline constexpr uint64_t kShmMagic = 0x31'6d68'7370;  // "pshm1"

// Registered memory. The place in the table and the life are its key.
struct ShmRegion {
  SharedWord life;  // 0: none. Stored last, cleared first
  Raced<uint64_t> offset;
  Raced<uint64_t> bytes;
  Raced<uint32_t> segment;
  Raced<uint32_t> rights;
};
static_assert(sizeof(ShmRegion) == 32);

// An endpoint is known by its name: its nonce, which only its peer was told, and its number.
constexpr uint64_t shm_name(uint32_t nonce, uint32_t number) {
  return uint64_t{nonce} << 32 | number;
}

enum class ShmGate : uint64_t { kNew, kOpen, kShut };

struct ShmEntry {
  SharedWord name;  // 0: none
  SharedWord gate;  // a ShmGate. Stored after `peer` and `peer_device`
  Raced<uint64_t> peer;
  Raced<uint64_t> peer_device;
};
static_assert(sizeof(ShmEntry) == 32);

struct ShmTable {
  uint64_t magic = kShmMagic;
  uint64_t device = 0;
  uint8_t reserved[48]{};
  std::array<ShmRegion, kShmRegions> regions;
  std::array<ShmEntry, kShmEndpoints> endpoints;
};
static_assert(offsetof(ShmTable, regions) == 64);

struct ShmImmediate {
  Raced<uint64_t> endpoint;  // name of the one that it comes by: the reader's
  Raced<uint32_t> immediate;
  Raced<uint32_t> bytes;
};
static_assert(sizeof(ShmImmediate) == 16);

struct ShmRing {
  // Written by the reader, who made the ring.
  alignas(kPair) SharedWord head;
  // Written by the writer.
  alignas(kPair) SharedWord tail;
  Visit visit;  // while it uses the reader's table and memory
};
static_assert(sizeof(ShmRing) == 2 * kPair);

inline ShmImmediate* shm_slots(ShmRing* ring) {
  return reinterpret_cast<ShmImmediate*>(ring + 1);
}

constexpr uint64_t shm_ring_bytes(uint64_t slots) {
  return sizeof(ShmRing) + slots * sizeof(ShmImmediate);
}

}  // namespace penstock
