// Connection: messages to and from one peer over one endpoint, as transfers: the bytes go straight
// to their place in the peer's memory, a record that says what they are goes beside them; of a
// message that goes by several rails each has a part as a transfer of its own. Nothing is copied,
// and no order between puts is needed: a transfer is whole when as many immediates came as its
// record says. Owned by the worker of the endpoint; no allocation, no system call. (Counters
// instead of order: fabric-lib, arXiv 2510.27656.)
//
//   put ──▶ slot ──▶ chunk, chunk, .. ──Poster──▶ place in the peer's mirror ─┐ immediates
//                └─▶ record ───────────────────▶ peer's Landing.records[slot] ─┴─▶ Sink.landed
//   Sink.arrived ◀── Landing.status { granted, done } ◀── one put, now and then ── the peer
//
// Both numbers of the status only grow, so one that comes late or twice changes nothing. A slot is
// used again when the transfer that had it, and all before it, are done.
//
// Of its first error a connection ends, both ways. Whoever finds it stops the endpoint; when that
// has returned and all was polled, nothing of the peer lands any more, and what this side has of
// each unfinished transfer (unfinished()) is what the peer must know to send the rest another way.
// It never sends again blindly, and never before it was told.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/counter.h"
#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"
#include "dataplane/wire/put_record.h"
#include "rdma/credits.h"
#include "rdma/fabric.h"
#include "rdma/poster.h"

namespace penstock {

inline constexpr uint32_t kTransferSlots = 64;     // under way at once, each way
inline constexpr uint32_t kTransferChunks = 1024;  // of one transfer, at most
inline constexpr uint32_t kChunkLog2 = 20;         // of transfers of up to 1 GiB

// What a peer puts to besides mirrors; registered whole, with the right to put. Pages of its own,
// as a device knows memory by pages. Its size is part of what two nodes agree on.
struct alignas(4096) Landing {
  SharedWord granted;  // immediates that we may have sent, in all; 0: the peer has said nothing yet
  SharedWord done;     // all our transfers up to this number are whole there
  alignas(kPair) std::array<std::array<std::byte, 128>, kTransferSlots> records;
};
static_assert(offsetof(Landing, records) == 128 && sizeof(Landing) == 12288);
static_assert(kPutRecordSize <= 128);

// What has landed of a transfer that did not come to its end.
struct UnfinishedTransfer {
  uint64_t number = 0;
  std::array<uint64_t, kTransferChunks / 64> chunks{};  // bit i of word w: chunk 64 w + i
};

// Written by the worker, read by metrics.
struct alignas(kPair) ConnectionStats {
  Counter puts;       // transfers begun
  Counter put_bytes;  // of these
  Counter arrived;    // of these, whole at the peer
  Counter taken;      // transfers of the peer, whole here
  Counter taken_bytes;
};

class Connection {
 public:
  struct Config {
    uint32_t send_depth = 0;   // FabricLimits
    uint32_t max_message = 0;  // FabricLimits
    uint32_t window = 0;       // immediates that the peer may send before our first grant
    uint32_t peer_window = 0;  // the same the other way
    RemoteRegion peer_landing;
    bool begins =
        true;  // the peer is joined; else it says so first, by what it puts to our landing
  };

  // A message of ours, or a part of it: `bytes` from message.offset on, which lie at `from` and
  // stay as they are until arrived(), or until the connection is over.
  struct Put {
    void* owner = nullptr;  // the caller's
    const std::byte* from = nullptr;
    uint64_t bytes = 0;
    uint32_t local_key = 0;
    uint64_t remote_address = 0;
    uint32_t remote_key = 0;
    FragmentHeader message;
    uint32_t connection = 0;  // not 0: it is passed on, for the link that this names
  };

  // Who hears of it. Called from poll() and on_immediate().
  class Sink {
   public:
    virtual ~Sink() = default;
    // All of it is at the peer.
    virtual void arrived(const Put& put) = 0;
    // The peer's: false when it makes no sense, and then the connection fails.
    virtual bool begun(const PutRecord& transfer) = 0;
    // So many bytes of a message that was begun, from `offset` of it on, are in their place; each
    // is told once.
    virtual void landed(const PutRecord& transfer, uint64_t offset, uint64_t bytes) = 0;
    // The peer's, as begun().
    virtual bool noted(const PassNote& note) = 0;
  };

  // All three outlive it. The endpoint is connected. What it has to put fits max_inline:
  // kInlineNeeded.
  static constexpr uint32_t kInlineNeeded = kPutRecordSize;
  Connection(Endpoint& endpoint, Landing& landing, const Config& config);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins a transfer. False: all slots are in use, or it has failed: nothing changed.
  bool put(const Put& put);
  // The same for a transfer that brings no bytes; its number is not looked at.
  bool note(const PassNote& note);
  // The transfer that was begun last; all up to these are with the poster, and whole at the peer.
  uint64_t begun() const { return begun_; }
  uint64_t posted() const { return posted_; }
  uint64_t arrived() const { return arrived_; }
  // Something of ours got to the peer: messages are not what finds out whether the way works.
  bool proven() const { return poster_.done() != 0; }
  // Whether a transfer of so many bytes can go at all.
  bool possible(uint64_t bytes) const;
  // Whether put() would find a slot.
  bool has_slot() const { return begun_ - arrived_ != kTransferSlots; }

  // A turn: looks at what the peer said, posts what there is room for. Returns the work done.
  uint32_t poll(Sink& sink);
  void on_completion(const FabricCompletion& c) { poster_.completed(c); }
  void on_immediate(const FabricImmediate& i, Sink& sink);

  bool failed() const { return why_ != FabricCode::kOk || poster_.failed(); }
  FabricCode why() const { return why_ != FabricCode::kOk ? why_ : poster_.why(); }
  // Ends it from here: an event said so.
  void fail(FabricCode why) {
    if (why_ == FabricCode::kOk) why_ = why;
  }

  // Transfers of ours that have not arrived; work that waits for the peer or the device.
  uint64_t under_way() const { return begun_ - arrived_; }
  bool busy() const { return under_way() != 0 || !poster_.drained(); }
  // Whether any of `owner`'s is under way.
  bool has(const void* owner) const;
  // It does not want to hear of them any more: their owner is null then. When it is over.
  void strike(const void* owner);
  // Sees to it that the device will say when it is done with all that it has by now: when
  // poster().done() gets to the position that this returns. Call it again until then.
  uint64_t settle() {
    (void)poster_.settle();
    return poster_.added();
  }

  // --- when it is over: stopped and polled to the end ---

  // All of the peer's transfers up to this number are whole here.
  uint64_t taken() const { return taken_; }
  // Of each later one whose record has come: what has landed. Fills `out` from the front.
  size_t unfinished(std::span<UnfinishedTransfer, kTransferSlots> out) const;
  // Ours that have not arrived, oldest first: number and put.
  template <class F>
  void each_under_way(F&& f) const {
    for (uint64_t n = arrived_ + 1; n <= begun_; n++)
      f(n, out_[n % kTransferSlots].put);
  }
  // How long a chunk of a transfer of so many bytes is, and how many it has.
  static uint32_t chunk_log2(uint64_t bytes);
  static uint32_t chunks(uint64_t bytes) {
    const uint32_t log2 = chunk_log2(bytes);
    return static_cast<uint32_t>((bytes + (uint64_t{1} << log2) - 1) >> log2);
  }

  const Endpoint& endpoint() const { return endpoint_; }
  const ConnectionStats& stats() const { return stats_; }
  const Poster& poster() const { return poster_; }

 private:
  struct Out {
    Put put;
    std::array<std::byte, kPutRecordSize> record;
  };
  struct In {
    uint64_t number = 0;  // of the transfer that has, or will have, the slot
    bool begun = false;   // its record has come
    PutRecord record;
    uint32_t chunks = 0;
    uint32_t landed = 0;
    std::bitset<kTransferChunks> bits;
  };

  Out* begin_transfer();
  bool pump();
  bool post_chunk(const Out& out, uint64_t number);
  bool post_record(const Out& out, uint64_t number);
  bool tell();
  void begin(In& in, uint32_t slot, Sink& sink);
  static void tell_landed(const In& in, uint32_t chunk, Sink& sink);
  void finish(In& in);
  void wrong();

  Endpoint& endpoint_;
  Landing& landing_;
  Config config_;
  Poster poster_;
  FabricCode why_ = FabricCode::kOk;
  bool nonsense_ = false;  // of the peer's

  // Ours: 1 .. arrived_ .. posted_ .. begun_.
  uint64_t begun_ = 0;
  uint64_t posted_ = 0;  // all up to it are with the poster
  uint64_t arrived_ = 0;
  uint32_t next_chunk_ = 0;  // of the one after posted_

  // The peer's.
  uint64_t taken_ = 0;
  uint64_t consumed_ = 0;  // immediates
  uint64_t granted_;
  uint64_t told_granted_;
  uint64_t told_taken_ = 0;
  std::array<uint64_t, 2> status_{};  // what goes to the peer: granted, done
  uint64_t status_at_ = 0;            // one past the last of these, with the poster

  std::array<Out, kTransferSlots> out_;
  std::array<In, kTransferSlots> in_;
  ConnectionStats stats_;
};

}  // namespace penstock
