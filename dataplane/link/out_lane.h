// OutLane: the sender's half of a lane on its way to one mirror. Owned by whoever added it to the
// link; used by the link on the worker's core.
//
//   feed ──next──▶ staged ──number, place──▶ frames ──acked──▶ settle ──▶ feed.released
//                             │                        ▲
//                             └── SentMessage[ring] ───┘ lost: feed.look, once more
//
// It runs the mirror's arena arithmetic, so it knows the place of each message before it is sent,
// and never sends what the mirror has no room for: the peer's credit says how far its readers are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"
#include "dataplane/lane/layout.h"
#include "dataplane/lane/message.h"
#include "dataplane/link/block_map.h"
#include "dataplane/link/digest.h"
#include "dataplane/link/feed.h"
#include "dataplane/link/frame.h"
#include "dataplane/link/put_path.h"
#include "dataplane/wire/ack.h"
#include "dataplane/wire/batch.h"

namespace penstock {

class ChainSeat;
class Link;
struct Landed;

// Written by the worker, read by metrics. sent = delivered + in flight; what is in flight when the
// link goes down is lost and its owner counts it as such. A gap notice counts like a message.
struct alignas(kPair) OutLaneStats {
  Counter sent;           // taken from the feed
  Counter bytes;          // of these messages
  Counter delivered;      // whole at the peer, and all before it
  Counter retransmitted;  // frames
  Counter too_big;        // larger than the mirror's arena: went as a gap
  Counter broken;         // could not be read again for a retransmission: went as a gap
  Counter blocked;        // times it had to wait for credit
  SharedWord held;        // a message waits for the PutPath now: its position + 1, else 0

  uint64_t in_flight() const { return sent.read() - delivered.read(); }
};

class OutLane {
 public:
  // Where the mirror begins: its head and its arena's fill.
  struct Start {
    uint64_t position = 0;
    uint64_t arena = 0;
  };

  // `alias` is unique among this side's OutLanes of the link; 0 is the control channel. `epoch`
  // grows when an alias is used again. The feed outlives the lane.
  OutLane(uint32_t alias, uint32_t epoch, const LaneGeometry& mirror, Feed& feed, Start start);
  OutLane(uint32_t alias, uint32_t epoch, const LaneGeometry& mirror, Feed& feed)
      : OutLane(alias, epoch, mirror, feed, Start{}) {}
  OutLane(const OutLane&) = delete;
  OutLane& operator=(const OutLane&) = delete;

  uint32_t alias() const { return alias_; }
  uint32_t epoch() const { return epoch_; }
  const LaneGeometry& mirror() const { return geometry_; }
  const OutLaneStats& stats() const { return stats_; }

  // Before it is added to a link: its place among those that send the same lane. Null: none.
  void set_seat(ChainSeat* seat) { seat_ = seat; }

  // Messages from `from_bytes` on go by `path`, as long as it takes them. Null: no more. The
  // worker, or before the lane is added.
  void set_puts(PutPath* path, uint64_t from_bytes) {
    puts_ = path;
    puts_from_ = path == nullptr ? ~uint64_t{0} : from_bytes;
    rests_.reserve(kRests);
  }

  // Messages from `from_bytes` on do not go by frames as long as the path may take them later, or
  // there may be one later. The default: none waits. As set_puts(); what waits looks again when the
  // lane is woken.
  void hold_for_puts(uint64_t from_bytes) {
    if (std::exchange(hold_from_, from_bytes) != from_bytes) stats_.held.store(0);
  }
  bool waits_for_puts(uint64_t bytes) const { return bytes >= hold_from_; }
  // Other lanes of its chain wait for what this one begins.
  bool leads(uint64_t bytes) const;

  // Everything that the feed gave is at the peer.
  bool idle() const { return stats_.in_flight() == 0; }
  // The mirror has no room for the next message.
  bool blocked() const { return state_ == State::kBlocked; }

 private:
  friend class ChainSeat;
  friend class Link;
  friend class LinkRelay;

  // Where the lane stands with its link.
  enum class State : uint8_t {
    kDetached,
    kDry,      // the feed had nothing; waits for wake()
    kActive,   // in the link's round
    kBlocked,  // waits for credit
  };

  // How a message went, for the ring of those in flight.
  enum class Kind : uint8_t {
    kWhole,   // in a BATCH
    kPieces,  // as FRAGMENTs
    kGap,     // a gap of the feed's: `len` is how many messages, and it takes no arena
    kBroken,  // a gap in place of a message of `len` bytes, which keep their place
  };

  struct SentMessage {
    uint64_t source;  // Message.position, for look() and released()
    uint64_t arena;   // of the mirror
    uint64_t len;
    uint32_t left;  // blocks (or 1) not yet acknowledged
    Kind kind;
    uint8_t reason;         // of a gap
    bool digested = false;  // its digest is in digests_
  };
  static_assert(sizeof(SentMessage) == 32);

  enum class Next : uint8_t {
    kDry,
    kBlocked,
    kBatch,
    kPiece,
    kAnnounce,
    kPass,
    kRest,
    kPut,
    kPutAgain,
    kPutRest
  };

  // What can be sent next; asks the feed when nothing is staged.
  Next peek();

  // Writes a BATCH body of as many messages as fit, when peek() said kBatch.
  Sent write_batch(std::span<std::byte> body, uint32_t& size);
  // Writes the next FRAGMENT, when peek() said kPiece.
  Sent write_piece(TxFrame& frame, uint32_t body_room);
  // The same contents once more. `sent.count` 0 afterwards: all of it has arrived meanwhile. It may
  // be less than before: the caller comes back for the rest.
  void rewrite(Sent& sent, TxFrame& frame, uint32_t body_room);

  // --- out_lane_chain.cc: what goes down a chain (chain.h) ---
  Next peek_urgent();
  Next peek_large(const Message& m, bool puts);
  Sent write_announce(TxFrame& frame, uint32_t body_room);
  Sent write_pass(TxFrame& frame);
  Sent write_rest(TxFrame& frame, uint32_t body_room);
  void rewrite_chain(Sent& sent, TxFrame& frame, uint32_t body_room);
  void on_landed(const Landed& l);
  void begin_pieces(const Message& m, bool announced, bool puts);
  // It gets on, or waits for nothing but room in its put path.
  bool sending() const { return state_ == State::kActive || puts_full_; }

  // --- out_lane_puts.cc: what goes by another way (put_path.h) ---
  PutPath::Take put_next();
  PutPath::Take put_again();
  PutPath::Take by_frames();
  PutPath::Take offer(const Message& m, uint64_t position, uint64_t arena, uint64_t offset,
                      uint64_t len);
  void put_landed(uint64_t position, uint64_t offset, uint64_t bytes);
  void put_ended(uint64_t position, uint64_t offset, uint64_t bytes);
  bool place_granted(const Message& m) const;
  bool can_put(const Message& m) const { return m.len >= puts_from_ && place_granted(m); }
  // The peer has all up to there, and nothing more comes by others.
  void put_rest(uint64_t position, uint64_t from);
  bool find_rest();
  bool put_rest_waits() {
    const Rest& r = rests_.front();
    const uint64_t len = record(r.position).len;
    return !r.framed && (waits_for_puts(len) || (r.put && len >= puts_from_));
  }
  Sent write_put_rest(TxFrame& frame, uint32_t body_room);

  // The peer has it. Then settle() once for each lane that was touched.
  void acked(const Sent& sent);
  void settle();
  // True when it says more than the last one.
  bool on_credit(const Credit& credit);

  SentMessage& record(uint64_t position) { return ring_[position & ring_mask_]; }
  bool refill();
  bool has_room(uint64_t position, uint64_t end, const Start& consumed) const;
  void put_piece(const Message& m, const Sent& piece, TxFrame& frame);
  std::optional<uint32_t> put_digest(const Sent& piece, std::span<const std::byte> bytes,
                                     TxFrame& frame);
  void finish_pieces();
  void give_up(uint64_t position);
  bool rewrite_piece(Sent& sent, TxFrame& frame, uint32_t body_room);
  void rewrite_batch(Sent& sent, TxFrame& frame, uint32_t body_room);
  Record record_again(uint64_t position);
  void arrived_before(uint64_t position);

  const uint32_t alias_;
  const uint32_t epoch_;
  State state_ = State::kDetached;
  bool touched_ = false;
  bool puts_full_ = false;  // waits for its put path
  uint32_t staged_at_ = 0;  // staged_[staged_at_, staged_end_) wait to be sent
  uint32_t staged_end_ = 0;
  uint64_t next_;          // position of the next message in the mirror
  uint64_t fill_;          // of the mirror's arena, when all before next_ is in it
  uint64_t piece_at_ = 0;  // how much of the message at next_ is sent, when it goes in pieces
  uint64_t delivered_;     // all before it have arrived
  uint64_t settled_;       // the feed knows of all before it
  Start consumed_;         // by the mirror's readers, as the peer said last
  uint64_t ring_mask_;
  uint64_t arena_size_;
  Feed& feed_;
  ChainSeat* seat_ = nullptr;
  PutPath* puts_ = nullptr;
  uint64_t puts_from_ = ~uint64_t{0};
  uint64_t hold_from_ = ~uint64_t{0};
  // Of messages that began to go by it, what did not get there, as far as it was not looked
  // through.
  struct Rest {
    uint64_t position;
    uint64_t at;
    uint64_t end;
    bool framed;  // some of it went by frames: so does the rest
    bool put;     // none of it is on its way: it may be put, though it need not
  };
  static constexpr size_t kRests = 320;  // as many as a put path has under way, or relays give up
  std::vector<Rest> rests_;
  std::array<Message, 32> staged_;
  std::vector<SentMessage> ring_;  // messages in flight, by position
  std::vector<uint32_t> digests_;  // beside ring_, of those larger than kDigestFrom
  Digest digest_;                  // of what is sent of the message at next_
  BlockMap blocks_;                // of messages in pieces, that have arrived
  LaneGeometry geometry_;
  OutLaneStats stats_;
};

}  // namespace penstock
