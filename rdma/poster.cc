#include "rdma/poster.h"

#include <algorithm>

namespace penstock {

// Four completions a send queue at least, or it would run full before the first comes.
Poster::Poster(Endpoint& endpoint, uint32_t send_depth, uint32_t peer_window)
    : endpoint_(endpoint),
      credits_(peer_window),
      depth_(send_depth),
      signal_every_(std::clamp(send_depth / 4, 1u, kSignalEvery)) {}

bool Poster::add(FabricRequest request) {
  if (failed()) return false;
  if (added_ - freed_ >= depth_ || waiting_ == kBatch) {
    waited_for_room_++;
    return false;
  }
  if (request.op == FabricOp::kPutImmediate) {
    if (credits_.room() == 0) {
      waited_for_credit_++;
      return false;
    }
    credits_.take(1);
  }
  request.id = added_++;
  if (++unsignalled_ == signal_every_) request.signalled = true;
  if (request.signalled) unsignalled_ = 0;
  batch_[waiting_++] = request;
  if (waiting_ == kBatch) flush();
  return true;
}

void Poster::flush() {
  if (waiting_ == 0 || failed()) return;
  const auto taken = static_cast<uint32_t>(endpoint_.post({batch_.data(), waiting_}));
  rung_ += taken;
  waiting_ -= taken;
  if (taken != 0 && waiting_ != 0)  // not connected yet, or a queue smaller than it said
    std::copy_n(batch_.begin() + taken, waiting_, batch_.begin());
}

bool Poster::settle() {
  if (failed()) return true;
  if (unsignalled_ != 0) {
    if (waiting_ != 0) {
      batch_[waiting_ - 1].signalled = true;
      unsignalled_ = 0;
    } else {
      FabricRequest empty;
      empty.signalled = true;
      if (!add(empty)) return false;
    }
  }
  flush();
  return waiting_ == 0;
}

// One error or many, signalled or not: each completion frees all up to its own request, because
// they come in order.
void Poster::completed(const FabricCompletion& completion) {
  if (completion.id < freed_ || completion.id >= rung_) return;  // not one of these
  freed_ = completion.id + 1;
  if (failed()) return;
  if (completion.code == FabricCode::kOk) {
    done_ = freed_;
  } else {
    why_ = completion.code;
    done_ = completion.id;
  }
}

}  // namespace penstock
