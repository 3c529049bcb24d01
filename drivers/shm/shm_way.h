// A way joins two devices in one direction. Who wants to put and get connects; who is put to and
// got from answers with descriptors. Two devices that do both have two ways.
//
//   ShmWayOut  here:  copies, pushes immediates        worker
//      ▲ descriptors: table, ring, segments            control
//   ShmWayIn   there: takes immediates out             worker
//
// When either process ends, the kernel closes its socket: that is how the other one knows.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/base/fd.h"
#include "dataplane/base/sealed_memory.h"
#include "drivers/shm/shm_layout.h"
#include "drivers/shm/shm_socket.h"
#include "rdma/fabric.h"

namespace penstock {

class ShmWayOut {
 public:
  enum class State : uint64_t { kOpening, kOpen, kDead };
  enum class Found : uint8_t { kYes, kRefused, kNotYet };

  ShmWayOut(uint64_t device, Fd socket) : device_(device), socket_(std::move(socket)) {}

  uint64_t device() const { return device_; }
  State state() const { return static_cast<State>(state_.load()); }

  // Control: takes what the peer sent. `worker` says when this side's is out of what goes. The peer
  // is hung up on only then: it takes that for a promise that nothing more is written.
  void serve(const Visit& worker);
  int socket() const { return socket_.get(); }
  uint32_t users = 0;  // endpoints that are connected by it

  // Worker, once it is open. Between the two the peer takes nothing away that is looked up here.
  void enter() { ring_->visit.enter(); }
  void leave() { ring_->visit.leave(); }
  const ShmEntry& entry(uint32_t place) const { return table_->endpoints[place]; }
  // Where an offset in a region of the peer is. kNotYet: its file has not come.
  Found find(uint32_t key, uint64_t offset, uint64_t bytes, uint32_t right, std::byte*& at) const;
  // False: the peer has no receive.
  bool push(uint64_t endpoint, uint32_t immediate, uint32_t bytes);

 private:
  struct Segment {
    SharedWord base;  // 0: not there. Stored last
    uint64_t bytes = 0;
    bool writable = false;
    Mapping mapping;
  };

  bool take(const ShmMessage& message, const Fd& fd);
  void end(const Visit& worker);

  uint64_t device_;
  SharedWord state_;
  // Written by control.
  Fd socket_;
  Mapping table_file_;
  Mapping ring_file_;
  const ShmTable* table_ = nullptr;
  ShmRing* ring_ = nullptr;
  uint64_t slots_ = 0;
  uint64_t receives_ = 0;
  std::array<Segment, kShmSegments> segments_;
  Mapping leaving_;  // waits until the worker is out of it
  uint64_t departure_ = 0;
  // Written by the worker.
  alignas(kPair) uint64_t tail_ = 0;
};

class ShmWayIn {
 public:
  enum class State : uint64_t {
    kFree,
    kLive,
    kRefused,  // it is not listened to any more, and has not gone yet
    kEnding,   // it has gone; what it pushed before is still taken out
    kDrained,
  };

  State state() const { return static_cast<State>(state_.load()); }
  int socket() const { return socket_.get(); }

  // Control: begins with a peer that has connected. `told`: the segments that it was sent.
  Errc begin(Fd socket, int table, uint64_t table_bytes, uint32_t receives);
  std::bitset<kShmSegments> told;
  void refuse();
  void end() { state_.store(static_cast<uint64_t>(State::kEnding)); }
  void clear();
  // Whether the peer can be in the middle of something here, and whether it is out of it.
  uint64_t departure() const { return ring_->visit.departure(); }
  bool passed(uint64_t seen) const { return ring_->visit.passed(seen); }

  // Worker: takes an immediate out. False: there is none, or what is there cannot be true, and then
  // the peer is refused.
  bool pop(uint64_t& endpoint, FabricImmediate& out);
  // Gives the places of what was taken back to the peer.
  void give_back() { ring_->head.store(head_); }

 private:
  SharedWord state_;
  // Written by control.
  Fd socket_;
  Mapping ring_file_;
  ShmRing* ring_ = nullptr;
  uint64_t mask_ = 0;
  // Written by the worker; control between two lives.
  alignas(kPair) uint64_t head_ = 0;
};

}  // namespace penstock
