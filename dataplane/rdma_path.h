// RdmaPath: a queue pair beside a link's path over UDP, one of its rails (rails.h). It takes large
// messages of the link's lanes, or parts of them, and puts them into the peer's mirrors; whatever
// goes wrong, they stay the link's. Made by control; used by the worker of the link between add and
// remove.
//
//   Rails ──put──▶ RdmaPath ──▶ Connection ═══ queue pair ═══ Connection ──▶ RdmaPath ──▶ InLane
//
//   kOff ──open──▶ kUp ──an error, or stop()──▶ kStopping ──polled to the end──▶ kStopped
//    ▲                                                                              │ told to
//    control └───────────── resolve(what the peer has) or forget() ◀────────────────────────┘
//
// While it is not up, messages go by frames. What was under way waits until the peer has said, with
// its own side stopped, what of it has landed: nothing is sent by two ways at once.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/shared_word.h"
#include "dataplane/link/link.h"
#include "dataplane/rails.h"
#include "rdma/connection.h"

namespace penstock {

// Written by the worker, read by metrics; of all connections that there were.
struct alignas(kPair) RdmaPathStats {
  Counter puts, put_bytes;     // messages, or parts of them, that went this way
  Counter taken, taken_bytes;  // that came this way
  Counter again, again_bytes;  // of those that went, such as had to go by frames after all: copied
  Counter errors;              // connections that ended
  SharedWord bytes_per_s;      // that it carries; 0: it is not known to work
};

class RdmaPath final : private Connection::Sink {
 public:
  enum class State : uint8_t { kOff, kUp, kStopping, kStopped };

  // Joins the rails, which outlive it. `device`: whose it is, as in PutMemory. `guess`: bytes a
  // second, until some were measured.
  RdmaPath(Rails& rails, const void* device, uint64_t guess);

  // --- the worker ---

  // Begins. The connection outlives its time here: until state() is kOff again. `session`: of the
  // link; nothing of it reaches another.
  void open(Connection* connection, Endpoint* endpoint, uint64_t session);
  // Messages of this lane from `from_bytes` on go this way. Their bytes lie in `source`; the arena
  // of the peer's mirror is `mirror`. Until the path is off, or remove_lane().
  Errc add_lane(OutLane& lane, const Registration& source, const RemoteRegion& mirror,
                uint64_t from_bytes);
  // No more of it. True: nothing of it is under way either, and neither it nor its memory is looked
  // at any more. False: ask again.
  bool remove_lane(OutLane& lane);

  // Ends it, both ways.
  void stop();
  // Stopped: what the peer has of ours. The rest goes by frames. Then it is off.
  void resolve(uint64_t taken, std::span<const UnfinishedTransfer> unfinished);
  // Stopped, and the session is over: what was under way is lost with it. Then it is off.
  void forget();

  // Of its endpoint, by the port that polls it.
  void on_completion(const FabricCompletion& c) { connection_->on_completion(c); }
  void on_immediate(const FabricImmediate& i, uint64_t now);
  // A turn. `emptied`: the fabric had nothing more. True once: it has stopped.
  bool poll(uint64_t now, bool emptied, uint32_t& work);

  State state() const { return state_; }
  bool has(uint32_t endpoint) const {
    return (state_ == State::kUp || state_ == State::kStopping) && endpoint_->number() == endpoint;
  }
  // Something waits for the device or the peer.
  bool busy() const {
    return state_ == State::kStopping ||
           (state_ == State::kUp && (connection_->busy() || rails_.relay().busy()));
  }
  const Connection* connection() const { return connection_; }
  Link& link() { return link_; }

  // --- any core ---
  const RdmaPathStats& stats() const { return stats_; }

  // --- Rails ---

  bool has(const OutLane& lane) const { return find(lane) != nullptr; }
  // Whether the message of the lane can go this way, and whether there is a transfer for it.
  bool takes(const OutLane& lane, const FragmentHeader& m, const std::byte* bytes) const;
  bool full() const { return !connection_->has_slot(); }
  RailLoad load() const { return {rate_.bytes_per_s(), rate_.under_way()}; }
  // So many bytes of it, from m.offset on, which lie at `from`. It takes it, and is not full.
  void put(OutLane& lane, const FragmentHeader& m, const std::byte* from, uint64_t bytes);

  // --- PutRelay: for messages that are passed on ---

  const void* device() const { return device_; }
  // It carries messages now.
  bool works() const;
  // Null: it has none.
  Connection* connection() { return connection_; }
  // `put` has no owner: nobody hears of it.
  void pass(const Connection::Put& put);
  // How many of these are under way.
  uint32_t passing() const { return passing_; }

 private:
  // What lands after stop() has returned has landed before it: devices may take a moment to say so.
  static constexpr uint64_t kDrainNs = 1'000'000;

  struct Lane {
    OutLane* lane;
    Registration source;
    RemoteRegion mirror;
  };
  // One that was removed, and until when the device may read it: a position of the poster's.
  struct Leaving {
    const OutLane* lane;
    uint64_t until;
  };
  const Lane* find(const OutLane& lane) const;
  void off();

  // Connection::Sink
  void arrived(const Connection::Put& put) override;
  bool begun(const PutRecord& transfer) override;
  void landed(const PutRecord& transfer, uint64_t offset, uint64_t bytes) override;
  bool noted(const PassNote& note) override;

  Rails& rails_;
  Link& link_;
  const void* device_;
  RailRate rate_;
  State state_ = State::kOff;
  Connection* connection_ = nullptr;
  Endpoint* endpoint_ = nullptr;
  uint64_t session_ = 0;
  bool proven_ = false;  // the connection is
  uint32_t passing_ = 0;
  uint64_t now_ = 0;
  uint64_t stopped_at_ = 0;
  std::vector<Lane> lanes_;
  std::vector<Leaving> leaving_;
  RdmaPathStats stats_;
};

}  // namespace penstock
