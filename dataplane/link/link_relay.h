// LinkRelay: a link's part in messages that go down a chain (chain.h): what it passes on to its
// peer for others, what comes from its peer for others, and what of its own lanes' comes by others.
// Part of a Link; peers.h leads to the other links of the worker.
//
//   source's link ──on_pass──▶ Passings of this link ──RELAYED──▶ peer        (we are the relay)
//   this link ──on_relayed──▶ mirror of the source's link ──LANDED──▶ source  (we are the receiver)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/drop.h"
#include "dataplane/link/frame.h"
#include "dataplane/link/passing.h"

namespace penstock {

class Link;
class Peers;
class PutPath;
struct Announce;
struct Pass;

class LinkRelay {
 public:
  explicit LinkRelay(Link& link) : link_(link) {}
  LinkRelay(const LinkRelay&) = delete;
  LinkRelay& operator=(const LinkRelay&) = delete;

  void reserve(size_t lanes) { reporting_.reserve(lanes); }
  // The worker's links, as long as this is one of them.
  void set_peers(Peers* peers) { peers_ = peers; }
  // The way by which the peer can be put to, and puts here. It outlives its use.
  void set_puts(PutPath* puts) { puts_ = puts; }
  const RelayStats& stats() const { return stats_; }

  // --- frames in ---
  Drop on_announce(std::span<const std::byte> body, uint64_t now);
  Drop on_pass(std::span<const std::byte> body);
  Drop on_relayed(std::span<const std::byte> body, std::span<const std::byte> payload,
                  uint64_t now);
  Drop on_landed(std::span<const std::byte> body);
  // More of this mirror has come.
  void pass_on(const InLane* lane);
  // No more of this message of this link's peer comes by its relay.
  void refuse(InLane* lane, uint64_t position, uint64_t now);
  // Bytes of a message of this link's peer, which another peer has put.
  void on_put_landed(InLane* lane, uint64_t position, uint64_t offset, uint64_t bytes,
                     uint64_t now);

  // --- frames out ---
  bool ready() const { return passings_.ready; }
  size_t send(std::span<TxFrame> frames, uint64_t now);
  // A piece once more; count 0: nothing of it has to arrive any more.
  void rewrite(Sent& what, TxFrame& frame);
  // A packet, or what was to be sent once more, is done with.
  void done(const Sent& what, bool arrived);
  size_t send_landed(std::span<TxFrame> frames, uint64_t now);
  static bool wanted(const Sent& what) {
    return what.lane != nullptr || what.carry == Carry::kRelayed;
  }

  // --- timers ---
  uint64_t next_deadline() const { return std::min(report_at_, chains_at_); }
  uint64_t report_at() const { return report_at_; }
  uint64_t chains_at() const { return chains_at_; }
  void look_at_chains_by(uint64_t at) { chains_at_ = std::min(chains_at_, at); }
  void look_at_chains(uint64_t now);

  // --- lanes and sessions ---
  // The mirror leaves this link.
  void leave(InLane* lane);
  // The session is over, or the link leaves its worker.
  void end();
  // Nothing of the mirror is passed on any more, nor asked for; more of it may be.
  void forget(const InLane* lane);
  void look_at(const InLane* lane);

 private:
  static constexpr uint64_t kNever = ~uint64_t{0};

  bool begin(const Pass& p, InLane* from);
  void drop(size_t i);
  void came(InLane* lane, uint64_t bytes, uint64_t now);
  void report(InLane* lane, uint64_t at);
  void ask_for(const Announce& a, InLane* lane, uint64_t now);
  uint32_t piece_size(const Passing& p, uint64_t offset) const;
  bool put(const Sent& what, TxFrame& frame);

  Link& link_;
  Peers* peers_ = nullptr;
  PutPath* puts_ = nullptr;
  Passings passings_;
  std::vector<InLane*> reporting_;  // of which the peer has to be told how far they are
  uint64_t report_at_ = kNever;
  uint64_t chains_at_ = kNever;  // when to look at the chains of lanes to the peer
  RelayStats stats_;
};

}  // namespace penstock
