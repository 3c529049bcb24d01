// RegistrationCache: memory is registered by whole allocations, once, however many views of it are
// asked for, and stays registered while there is room, because registering costs microseconds and
// more. One cache a device, for all peers. Control only: it allocates and makes system calls.
//
//   acquire(view) ──▶ Allocations: which allocation, which life of it
//                      ├── known ──▶ the same Registered, one user more
//                      └── new, or an earlier life of it was there ──▶ register (in pieces)
//   release ──▶ idle, least recently used first ──▶ deregistered when room is needed
//
// An address says nothing: memory that was freed and allocated again is other memory. So every
// acquire asks for the allocation's id, and who frees memory calls invalidate(). What has users is
// never deregistered under them; they hold what is stale until they let go.
//
// A forked child owns none of this: there, nothing is given out and nothing deregistered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <sys/types.h>
#include <vector>

#include "rdma/fabric.h"

namespace penstock {

struct Allocation {
  std::byte* base = nullptr;
  uint64_t bytes = 0;
  uint64_t id = 0;  // another one for each life of the same addresses

  bool operator==(const Allocation&) const = default;
};

// Who knows allocations: of lanes and regions, of a GPU's driver.
class Allocations {
 public:
  virtual ~Allocations() = default;
  // The one that holds all of [at, at + bytes); nothing when there is none.
  virtual Result<Allocation> find(const std::byte* at, uint64_t bytes) const = 0;
};

// Who makes memory known to the device, where that is not as simple as asking the device: memory of
// GPUs (drivers/gpu). The device deregisters it.
class Registrar {
 public:
  virtual ~Registrar() = default;
  // As Fabric::register_memory.
  virtual Result<Registration> register_memory(std::byte* base, uint64_t bytes,
                                               uint32_t rights) = 0;
};

// An allocation that a device knows, in pieces of at most what it registers at once.
class Registered {
 public:
  const Allocation& allocation() const { return allocation_; }
  // The piece that holds a byte of the allocation. A request must not leave its piece.
  const Registration& piece(const std::byte* at) const {
    return pieces_[static_cast<uint64_t>(at - allocation_.base) / piece_bytes_];
  }
  const std::vector<Registration>& pieces() const { return pieces_; }

 private:
  friend class RegistrationCache;

  Allocation allocation_;
  uint64_t piece_bytes_ = 0;
  std::vector<Registration> pieces_;
  uint64_t users_ = 0;
  bool stale_ = false;
  std::list<Registered>::iterator self_;
};

class RegistrationCache {
 public:
  struct Config {
    uint64_t max_bytes = ~uint64_t{0};  // registered at once, what has users included
    size_t max_allocations = 4096;
    uint32_t rights = kRemotePut | kRemoteGet;
    Registrar* registrar = nullptr;  // null: the device; outlives the cache
  };
  struct Stats {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t stale = 0;    // found, of an earlier life of its addresses
    uint64_t evicted = 0;  // idle, deregistered for room
    uint64_t registrations = 0;
    uint64_t deregistrations = 0;
    uint64_t steps = 0;  // allocations looked at one after the other: what must not grow
  };

  RegistrationCache(Fabric& fabric, const Allocations& allocations, const Config& config);
  ~RegistrationCache();
  RegistrationCache(const RegistrationCache&) = delete;
  RegistrationCache& operator=(const RegistrationCache&) = delete;

  // What holds all of a view. It stays registered until release(), which each acquire needs.
  // kNotFound: no allocation holds it. kFull: what has users takes all the room. kNoMemory: the
  // device takes no more. kClosed: this is a forked child.
  Result<const Registered*> acquire(const std::byte* at, uint64_t bytes);
  void release(const Registered* registered);

  // The range is, or is about to be, other memory: nothing of it is given out again. Deregistered
  // at once, or by the last release. Returns how many allocations that were.
  size_t invalidate(const std::byte* at, uint64_t bytes);

  const Stats& stats() const { return stats_; }
  size_t allocations() const { return used_.size() + idle_.size(); }
  uint64_t bytes() const { return bytes_; }

 private:
  using List = std::list<Registered>;

  Result<const Registered*> add(const Allocation& allocation);
  Errc register_pieces(Registered& r);
  void drop(List& from, List::iterator which);
  bool evict();
  bool forked() const;

  Fabric& fabric_;
  const Allocations& source_;
  Config config_;
  pid_t owner_;
  Stats stats_;
  std::map<const std::byte*, List::iterator> by_base_;  // what may be given out: no two overlap
  List used_;
  List idle_;  // least recently used first
  uint64_t bytes_ = 0;
};

}  // namespace penstock
