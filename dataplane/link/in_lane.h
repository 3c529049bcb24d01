// InLane: the receiver's half of a lane: writes the mirror. Owned by whoever added it to the link;
// used by the link on the worker's core, which is the mirror's one writer.
//
//   BATCH, FRAGMENT ──check──▶ bytes to their final place ──▶ all before are whole? ─▶ publish
//                                                                   │ no
//                                                                   ▼
//                                                     Waiting[ring]: published later, in order
//
// Everything in a frame comes from another host: places are checked against the credit that was
// granted and against the arena's arithmetic before a byte is written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/base/drop.h"
#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"
#include "dataplane/lane/layout.h"
#include "dataplane/lane/writer.h"
#include "dataplane/link/block_map.h"
#include "dataplane/link/digest.h"
#include "dataplane/link/passing.h"
#include "dataplane/link/put_path.h"
#include "dataplane/wire/ack.h"
#include "dataplane/wire/batch.h"
#include "dataplane/wire/fragment.h"

namespace penstock {

class Link;
struct Landed;
struct Relayed;

// Written by the worker, read by metrics.
struct alignas(kPair) InLaneStats {
  Counter delivered;       // published in the mirror: messages and gaps
  Counter bytes;           // of these messages
  Counter gaps;            // of `delivered`, notices that messages will not come
  Counter duplicates;      // messages and pieces that were there already
  Counter out_of_order;    // whole messages that had to wait for one before them
  Counter malformed;       // whole, with a place or a digest that made no sense: published as gaps
  Counter put, put_bytes;  // of `delivered`, such as came by a PutPath alone
  Counter copied, copied_bytes;  // of the rest, such as are large
  SharedWord copied_topic;       // of the last of these
};

class InLane {
 public:
  // `mirror` is at its start, or where the sender's OutLane::Start says; it outlives this. `origin`
  // is the id of the lane where the messages were first published.
  InLane(uint32_t alias, uint32_t epoch, LaneWriter& mirror, uint64_t origin);
  InLane(const InLane&) = delete;
  InLane& operator=(const InLane&) = delete;

  uint32_t alias() const { return alias_; }
  uint32_t epoch() const { return epoch_; }
  const InLaneStats& stats() const { return stats_; }

  // Before it is added: a message is large from so many bytes on. One that came by frames, and so
  // was copied, is counted then and marked for its readers (kFlagCopied). Not said: none is large.
  void set_large_from(uint64_t bytes) { large_from_ = bytes; }

  // The worker: from now on the peer may put into the mirror's arena, wherever it has credit for.
  // `memory` is what a device of this worker knows the arena by.
  void let_put(const PutMemory& memory);

  // Before it is added: what the mirror's memory is known by to the port (a Region), so that what
  // is passed on need not be copied. Null: it is.
  void set_region(void* region) { region_ = region; }

 private:
  friend class Link;
  friend class LinkRelay;
  friend class PutRelay;

  enum class State : uint8_t { kEmpty, kPieces, kWhole };

  // A message that cannot be published yet.
  struct Waiting {
    uint64_t arena;
    uint64_t len;
    uint64_t time;
    uint64_t key;
    uint64_t source;
    uint32_t topic;
    uint32_t left;  // blocks that have not come
    uint16_t parts;
    uint16_t flags;
    State state;
    bool framed;  // some of it came by frames
  };
  static_assert(sizeof(Waiting) == 56);

  // Take a frame's contents. kNone: acknowledge it; kDuplicate too: there was nothing new in it.
  // Otherwise part of it was refused and it must not be acknowledged.
  Drop on_batch(const BatchHeader& h, std::span<const std::byte> body);
  // `part` is the crc_part() of the piece, if the message is larger than kDigestFrom.
  Drop on_piece(const Fragment& f, uint32_t part);

  // --- in_lane_puts.cc: messages whose bytes come by another way (put_path.h) ---
  Drop on_put(const FragmentHeader& h);
  void on_put_landed(uint64_t position, uint64_t offset, uint64_t bytes);

  // --- in_lane_relay.cc: messages that come by a relay, or go on to others ---
  static constexpr uint64_t kGone = ~uint64_t{0};
  // The pieces of this message come from `node`, too.
  void expect(uint64_t position, uint64_t node);
  // kNoLane: nobody said that it comes from there.
  Drop on_relayed(uint64_t node, const Relayed& r, uint32_t part);
  // The message's beginning. Its piece does not count as copied: the rest is to be put.
  Drop on_announced(const Fragment& f, uint32_t part);
  // Until release(): the place of this message, which was not granted anew yet, is not.
  bool hold(uint64_t position, uint64_t arena);
  void release(uint64_t position, uint64_t arena);
  // It is published, or whole.
  bool has_whole(uint64_t position) const;
  // How many bytes of the message at this place have come, from `offset` on; looks at `most` of
  // them. kGone: they are not here any more.
  uint64_t landed(const Passing& p, uint64_t offset, uint64_t most) const;
  const std::byte* bytes_of(const Passing& p, uint64_t offset, uint64_t len);
  // The digest that was said of it, for its piece that reaches the end.
  std::optional<uint32_t> digest_of(const Passing& p, uint64_t offset, uint64_t len) const;
  Landed report();
  Landed refusal();

  // How far the peer may be told that they are.
  LaneWriter::Tail grantable() const;
  // Looks at the mirror's readers and grants what they let go of.
  Credit grant();
  // Looks at them; true when the peer should hear of it: they let go of a good part.
  bool credit_grew(bool idle);
  // Readers hold something that the peer does not know to be free.
  bool holding() const { return granted_.position != head_; }

  Drop check_place(uint64_t position, uint64_t arena, uint64_t len) const;
  uint64_t take_in_order(BatchReader& in, Record& r, uint64_t& at);
  Drop place(uint64_t position, uint64_t arena, uint64_t span, const Record& r);
  Drop place_waiting(uint64_t position, uint64_t arena, uint64_t span, const Record& r);
  Drop begin_pieces(const FragmentHeader& h, Waiting*& w);
  Drop take_piece(Waiting& w, uint64_t offset, std::span<const std::byte> piece, uint32_t part);
  Drop finish_pieces(Waiting& w);
  bool store_piece(Waiting& w, uint64_t offset, std::span<const std::byte> piece, uint32_t part);
  void store_blocks(Waiting& w, uint64_t offset, std::span<const std::byte> piece);
  Digest& digest(const Waiting& w) { return digests_[static_cast<size_t>(&w - ring_.data())]; }
  bool wrong(const Waiting& w);
  void overrule(Waiting& w);
  void publish(const Meta& meta, uint64_t arena, uint64_t span, uint64_t source);
  void publish_waiting();
  void count_way(Waiting& w);
  void look();

  const uint32_t alias_;
  const uint32_t epoch_;
  bool put_ = false;      // the peer may put
  bool giving_ = false;   // in the link's list of lanes whose readers hold something
  bool owed_ = false;     // the next ACK has to name it
  uint32_t waiting_ = 0;  // entries of ring_ that are not empty
  uint64_t reach_ = 0;    // the arena was written up to here, or to fill_
  uint64_t head_;         // next position to publish
  uint64_t fill_;         // of the arena, when all before head_ is in it
  LaneWriter::Tail granted_;
  LaneWriter::Tail seen_;
  uint64_t ring_mask_;
  uint64_t arena_size_;
  uint32_t topics_;
  uint64_t large_from_ = ~uint64_t{0};
  LaneWriter& mirror_;
  const uint64_t origin_;
  std::vector<Waiting> ring_;
  std::vector<Digest> digests_;  // beside ring_
  BlockMap blocks_;              // of messages in pieces, that have come
  void* region_ = nullptr;
  std::vector<PutMemory> put_memory_;
  RelayedLane relay_;
  InLaneStats stats_;
};

}  // namespace penstock
