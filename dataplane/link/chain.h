// Chain: the OutLanes of one published lane, so that a large message leaves this node once. The
// first lane that comes to it sends it; each later one announces it, and a peer that gets it
// already is asked to pass it on. All of a lane's OutLanes are on one worker, which owns this.
//
//   P1's lane: FRAGMENTs ──────────▶ P1 ──RELAYED──▶ P2 ──RELAYED──▶ P3
//   P2's lane: ANNOUNCE, later the next to P1: PASS   │ LANDED        │ LANDED
//   P3's lane: ANNOUNCE, ...          ◀───────────────┴───────────────┘
//
// The chain is a hint. Each lane keeps its order, places and credit, and stays responsible: what
// does not get on for a while, or whose relay is gone, is sent from here after all. Who has no
// credit, or is slow, has nobody behind it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/lane/message.h"

namespace penstock {

class ChainSeat;
class Link;
class OutLane;
struct Pass;

class Chain {
 public:
  static constexpr size_t kSeats = 128;  // as many as a lane has readers

  // Messages from `from_bytes` on, at least 1, are passed on.
  explicit Chain(uint64_t from_bytes) : from_bytes_(from_bytes) { seats_.reserve(kSeats); }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

 private:
  friend class ChainSeat;

  std::vector<ChainSeat*> seats_;  // whose lane is with a link
  uint64_t from_bytes_;
  uint64_t next_id_ = 1;
  uint64_t front_ = 0;         // one past the last message that somebody began to send
  ChainSeat* root_ = nullptr;  // who did
};

// Written by the worker, read by metrics.
struct ChainStats {
  Counter announced;  // messages that a relay was to bring
  Counter fell_back;  // of these, such as had to go from here after all
};

// One lane in its chain. Outlives the lane's time with its link.
class ChainSeat {
 public:
  ChainSeat(Chain& chain, OutLane& lane) : chain_(chain), lane_(lane) {}
  ChainSeat(const ChainSeat&) = delete;
  ChainSeat& operator=(const ChainSeat&) = delete;

  const ChainStats& stats() const { return stats_; }

 private:
  friend class Link;
  friend class LinkRelay;
  friend class OutLane;

  static constexpr uint64_t kNever = ~uint64_t{0};
  static constexpr uint64_t kLookNs = 1'000'000;       // between looks at what is under way
  static constexpr uint64_t kWaitNs = 3'000'000;       // for another lane to begin a message
  static constexpr uint64_t kStallNs = 10'000'000;     // without progress, and it goes from here
  static constexpr uint64_t kAvoidNs = 1'000'000'000;  // no relay for so long after a failure
  static constexpr uint64_t kAloneNs = 20'000'000;     // none is asked after one could not put
  static constexpr uint64_t kSlack = 128 << 10;        // bytes that are on their way anyhow
  static constexpr uint64_t kLag = 1 << 20;            // bytes behind its relay: a slow node

  enum class Mode : uint8_t {
    kDirect,  // sent by this lane
    kOwed,    // announced; PASS is still to be sent to its relay
    kPassed,  // PASS was sent
    kRest,    // what is missing goes from here
  };
  enum class Step : uint8_t { kSend, kAnnounce, kWait };
  enum class Urgent : uint8_t { kNone, kPass, kRest };

  // A large message, from when it was begun.
  struct Large {
    uint64_t source = 0;    // its position in the published lane
    uint64_t position = 0;  // in the mirror
    uint64_t arena = 0;
    uint64_t len = 0;
    ChainSeat* from = nullptr;  // the relay's seat
    uint64_t from_position = 0;
    Mode mode = Mode::kDirect;
    bool puts = false;      // by RDMA, or not from there at all
    uint32_t children = 0;  // seats that get it from this one
    uint64_t rest_at = 0;   // how much of the rest was looked at
    // As of the last look: how far it is here, and at the relay, and since when.
    uint64_t mine = 0;
    uint64_t mine_since = 0;
    uint64_t theirs = 0;
    uint64_t theirs_since = 0;
    uint64_t ahead_since = 0;  // the relay has more
    uint64_t lag_since = 0;    // far more
    uint64_t direct_since = 0;
  };

  // --- the lane's link ---
  void attach(Link* link);
  void detach();
  // Its bytes cannot be had any more.
  void gave_up(uint64_t position);
  // When look() is due.
  uint64_t look_at() const { return look_at_; }
  void look(uint64_t now);

  // --- the lane ---
  bool large(uint64_t len) const { return len >= chain_.from_bytes_; }
  bool followed(uint64_t len) const {
    return link_ != nullptr && large(len) && chain_.seats_.size() > 1;
  }
  // What to do with the next message, when it is large; `puts`: it can go by RDMA.
  Step step(const Message& m, bool puts);
  // It was begun, as step() said.
  void begun(const Message& m, uint64_t position, uint64_t arena, bool announced, bool puts);
  // The lane has nothing to send, or no credit.
  void stopped();
  // The announced message that is still to come from a relay, and from which node. Null, 0: none.
  const Large* relayed_at(uint64_t position);
  uint64_t relay_of(const Large& l) const;
  // Its relay has brought so many bytes of it, and brings no more.
  void refused(uint64_t position, uint64_t landed);
  // Sent before the next message: PASS for others, the rest of what fell back.
  bool urgent() const { return urgent_; }
  Urgent next_urgent();
  // The PASS that next_urgent() said, or the one to seat `id` once more; false: no longer wanted.
  bool first_pass(uint64_t& id, uint64_t& position);
  bool make_pass(uint64_t id, uint64_t position, Pass& out);
  Large* rest();
  // The digest of a message that this lane did not send whole, from one that did.
  std::optional<uint32_t> digest_of(uint64_t position);

  Large* find(uint64_t position);
  bool done(const Large& l) const;
  uint64_t have(uint64_t position) const;
  bool holds(const Large& l) const;
  Large* upstream(const Message& m, bool puts, uint64_t now, ChainSeat*& seat) const;
  void look_at(Large& l, uint64_t now);
  bool relayed(const Large& l) const;
  Large* in_ring(uint64_t i) { return &large_[i % large_.size()]; }
  uint64_t first() const { return begun_ - std::min<uint64_t>(begun_, large_.size()); }
  void arm(uint64_t at);
  void leave_upstream(Large& l);
  void fall_back(Large& l, uint64_t now);
  void fall_back_from(const ChainSeat* relay, uint64_t now);
  Step wait(uint64_t now);
  bool gets(uint64_t source, uint64_t now) const;
  bool somebody_sends(uint64_t now) const;
  void wake_waiting();
  void ask();

  Chain& chain_;
  OutLane& lane_;
  Link* link_ = nullptr;
  uint64_t id_ = 0;
  bool urgent_ = false;
  bool waiting_ = false;
  uint64_t waits_until_ = 0;
  uint64_t look_at_ = kNever;
  uint64_t avoid_until_ = 0;
  uint64_t alone_for_ = 0;        // the last time
  uint64_t alone_until_ = 0;      // no relay can put to its peer
  ChainSeat* usual_ = nullptr;    // the last relay
  uint64_t next_source_ = 0;      // one past the last large message that was begun
  uint64_t landed_position_ = 0;  // how far the last LANDED was taken
  uint64_t landed_ = 0;
  uint64_t begun_ = 0;  // large messages so far; the last of them are known
  std::array<Large, 64> large_;
  ChainStats stats_;
};

}  // namespace penstock
