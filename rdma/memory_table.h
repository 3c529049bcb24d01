// MemoryTable: the registered memory of a fabric that is made of software. A key is a place in the
// table and the life of what stands there, so that the key of memory that is gone is refused, also
// when the place is taken anew. Peers name offsets in a region, never addresses.
//
// Control adds and removes; the worker looks up. Whoever removes sees to it that the worker is out
// of what it had found (visit.h) before the memory goes, and before the next add().
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "dataplane/base/errc.h"
#include "dataplane/base/shared_word.h"
#include "rdma/fabric.h"

namespace penstock {

class MemoryTable {
 public:
  static constexpr uint32_t kMostRoom = 1u << 16;

  explicit MemoryTable(uint32_t room);

  // kInvalid: there are no bytes. kNoMemory: the table is full.
  Result<Registration> add(std::byte* base, uint64_t bytes, uint32_t rights);
  void remove(const Registration& registration);

  // Where a peer's request goes, or null: the key, the bounds or the right are wrong.
  std::byte* remote(uint32_t remote_key, uint64_t offset, uint64_t bytes, uint32_t right) const;
  // Whether a request of this side names memory that is registered.
  bool local(const FabricRequest& request) const;

  // What a remote key is made of. No life is 0.
  static uint32_t remote_key(uint32_t place, uint32_t life);
  static uint32_t place_of(uint32_t remote_key);
  static uint32_t life_of(uint32_t remote_key);

 private:
  struct Entry {
    SharedWord life;  // 0: nothing stands here. Stored last
    std::byte* base = nullptr;
    uint64_t bytes = 0;
    uint32_t rights = 0;
    uint32_t next_life = 1;
  };

  const Entry* find(uint32_t local_key) const;

  std::vector<Entry> entries_;
  std::deque<uint32_t> free_;  // oldest first, so that a key comes back late
};

}  // namespace penstock
