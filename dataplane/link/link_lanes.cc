// Lanes come and go: by command, or all at once when a session ends.
#include <algorithm>

#include "dataplane/link/chain.h"
#include "dataplane/link/link.h"

namespace penstock {

Errc Link::add_out(OutLane* lane) {
  if (session_ == 0) return Errc::kClosed;
  if (lane->state_ != OutLane::State::kDetached) return Errc::kBusy;
  if (const Errc e = out_.add(lane); e != Errc::kOk) return e;
  activate(lane);
  if (lane->seat_ != nullptr) lane->seat_->attach(this);
  return Errc::kOk;
}

Errc Link::add_in(InLane* lane) {
  if (session_ == 0) return Errc::kClosed;
  return in_.add(lane);
}

void Link::activate(OutLane* lane) {
  lane->state_ = OutLane::State::kActive;
  if (lane->alias() == kControlAlias) {
    control_ = lane;
  } else {
    round_[round_tail_++ & (round_.size() - 1)] = lane;
  }
}

// It has something to send besides its own messages, for which it may have no credit.
void Link::rouse(OutLane* lane) {
  if (lane->state_ == OutLane::State::kBlocked) {
    blocked_--;
    activate(lane);
  } else {
    wake(lane);
  }
}

Errc Link::remove_out(uint32_t alias) {
  OutLane* lane = out_.remove(alias);
  if (lane == nullptr) return Errc::kNotFound;
  packets_.forget(lane);
  for (uint64_t i = again_head_; i != again_tail_; i++) {
    Sent& s = again_[i & (again_.size() - 1)];
    if (s.lane == lane) s.lane = nullptr;
  }
  if (lane->state_ == OutLane::State::kBlocked) blocked_--;
  if (control_ == lane) control_ = nullptr;
  // Out of the round; the others keep their order.
  uint64_t to = round_head_;
  for (uint64_t i = round_head_; i != round_tail_; i++) {
    OutLane* l = round_[i & (round_.size() - 1)];
    if (l != lane) round_[to++ & (round_.size() - 1)] = l;
  }
  round_tail_ = to;
  lane->state_ = OutLane::State::kDetached;
  if (lane->seat_ != nullptr) lane->seat_->detach();
  return Errc::kOk;
}

Errc Link::remove_in(uint32_t alias) {
  InLane* lane = in_.remove(alias);
  if (lane == nullptr) return Errc::kNotFound;
  std::erase(giving_, lane);
  relay_.leave(lane);
  if (lane->owed_) owed_--;
  lane->owed_ = lane->giving_ = false;
  return Errc::kOk;
}

// The next ACK names the lane's credit, whether or not it grew.
void Link::owe(InLane* lane) {
  if (!lane->giving_) {
    lane->giving_ = true;
    giving_.push_back(lane);
  }
  if (!lane->owed_) owed_++;
  lane->owed_ = true;
}

void Link::detach_all() {
  relay_.end();
  out_.for_each([](OutLane& lane) {
    lane.state_ = OutLane::State::kDetached;
    if (lane.seat_ != nullptr) lane.seat_->detach();
  });
  in_.for_each([](InLane& lane) { lane.owed_ = lane.giving_ = false; });
  out_.clear();
  in_.clear();
  giving_.clear();
  control_ = nullptr;
  round_head_ = round_tail_ = 0;
  again_head_ = again_tail_ = 0;
  owed_ = blocked_ = 0;
}

}  // namespace penstock
