// FabricPort: a worker's device for RDMA: what it polls goes to the paths whose endpoints it names.
// Made by control, which also registers memory and makes endpoints; polled by its one worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/spsc_ring.h"
#include "dataplane/rdma_path.h"
#include "rdma/fabric.h"

namespace penstock {

class FabricPort {
 public:
  // `fabric` outlives this.
  explicit FabricPort(Fabric& fabric) : fabric_(fabric) {}
  FabricPort(const FabricPort&) = delete;
  FabricPort& operator=(const FabricPort&) = delete;

  Fabric& fabric() { return fabric_; }
  const Fabric& fabric() const { return fabric_; }

  // --- the worker ---

  // Control keeps the path until it is off and removed.
  void add(RdmaPath* path) { paths_.push_back(path); }
  void remove(RdmaPath* path) { std::erase(paths_, path); }

  // A burst in, and a turn of each path. Returns the work done.
  uint32_t poll(uint64_t now);

  // Nothing wakes a worker that sleeps when something lands: it must not sleep long while peers may
  // put here, nor at all while something is under way.
  bool open() const { return !paths_.empty(); }
  bool busy() const;
  // True once after something was put there for control.
  bool take_noticed() { return std::exchange(noticed_, false); }

  // --- control ---

  // A path that has stopped.
  bool next_stopped(RdmaPath*& out) { return stopped_.pop({&out, 1}) == 1; }

 private:
  static constexpr size_t kBurst = 64;

  RdmaPath* find(uint32_t endpoint);

  Fabric& fabric_;
  std::vector<RdmaPath*> paths_;
  bool noticed_ = false;
  std::array<FabricCompletion, kBurst> completions_;
  std::array<FabricImmediate, kBurst> immediates_;
  SpscRing<RdmaPath*, 1024> stopped_;
};

}  // namespace penstock
