// Poster: how requests go out on one endpoint. It rings once for a batch, asks for a completion
// once in a while, knows what room the send queue has, and never sends an immediate that the peer
// has no receive for. Owned by the worker that posts; no allocation, no system call.
//
//   add ──▶ [ waiting: up to 16 ] ──one doorbell──▶ under way ──a completion──▶ done
//            0 .. done() .......... rung ........... added()          positions, as in a lane
//
// Requests are known by their position: all before done() succeeded, their sources are free. After
// an error nothing is known of those behind, and done() stands still (fabric.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "rdma/credits.h"
#include "rdma/fabric.h"

namespace penstock {

class Poster {
 public:
  static constexpr uint32_t kBatch = 16;        // requests a doorbell
  static constexpr uint32_t kSignalEvery = 64;  // requests a completion, at most

  // `send_depth`: FabricLimits.send_depth. `peer_window`: immediates that the peer takes before
  // its first grant.
  Poster(Endpoint& endpoint, uint32_t send_depth, uint32_t peer_window);

  // Takes a request, to be sent with the batch; its id and, if need be, `signalled` are set here.
  // False: the send queue is full, the peer gave no credit for an immediate, or it has failed. Then
  // nothing changed; look again next turn.
  bool add(FabricRequest request);
  // Rings for what waits: at the end of a turn.
  void flush();
  // Nothing more is coming: sees to it that all that was added completes, with an empty put if it
  // must. False: no room for that now, try again next turn.
  bool settle();

  // A completion of this endpoint was polled.
  void completed(const FabricCompletion& completion);
  // What the peer granted. False: it cannot have.
  bool grant(uint64_t total) { return credits_.grant(total); }

  uint64_t added() const { return added_; }
  uint64_t done() const { return done_; }
  bool failed() const { return why_ != FabricCode::kOk; }
  FabricCode why() const { return why_; }
  // Nothing is under way any more: the endpoint may go. A dead device never gets there.
  bool drained() const { return freed_ == rung_ && (waiting_ == 0 || failed()); }

  const SendCredits& credits() const { return credits_; }
  uint64_t waited_for_room() const { return waited_for_room_; }
  uint64_t waited_for_credit() const { return waited_for_credit_; }

 private:
  Endpoint& endpoint_;
  SendCredits credits_;
  uint32_t depth_;
  uint32_t signal_every_;
  uint32_t unsignalled_ = 0;  // at the end of what was added
  uint32_t waiting_ = 0;
  uint64_t added_ = 0;
  uint64_t rung_ = 0;
  uint64_t freed_ = 0;  // before it: a completion stood for it, of whatever kind
  uint64_t done_ = 0;
  FabricCode why_ = FabricCode::kOk;
  uint64_t waited_for_room_ = 0;
  uint64_t waited_for_credit_ = 0;
  std::array<FabricRequest, kBatch> batch_{};
};

}  // namespace penstock
