#include "dataplane/client/receiver.h"

namespace penstock::client {

// The next message or gap of any lane. False: none now, or (more_) none yet.
bool Receiver::next(penstock_message& out) {
  more_ = false;
  if (lost_held_) [[unlikely]] {
    lost_held_ = false;
    return evicted(*held_, held_message_, out);
  }
  for (size_t left = lanes_.size(); left > 0; left--) {
    JoinedLane& lane = *lanes_[turn_];
    switch (lane.next(out)) {
      case JoinedLane::Next::kMessage:
        held_ = &lane;
        held_message_ = true;
        held_bytes_ = out.whole_len;
        stats_.delivered++;
        stats_.bytes += out.whole_len;
        if (--burst_ == 0) next_lane();
        return true;
      case JoinedLane::Next::kGap:
        held_ = &lane;
        held_message_ = false;
        stats_.gaps[out.gap_reason % PENSTOCK_REASONS] += out.gap_count;
        return true;
      case JoinedLane::Next::kMore:
        more_ = true;
        next_lane();
        break;
      case JoinedLane::Next::kNothing:
        if (lane.evicted()) return evicted(lane, false, out);
        if (lane.finished())
          drop_finished();
        else
          next_lane();
        break;
    }
  }
  return false;
}

bool Receiver::evicted(JoinedLane& lane, bool in_use, penstock_message& out) {
  held_ = nullptr;
  lane.end_evicted(in_use, out);
  stats_.gaps[out.gap_reason % PENSTOCK_REASONS] += out.gap_count;
  return true;
}

void Receiver::next_lane() {
  burst_ = kBurst;
  if (++turn_ >= lanes_.size()) turn_ = 0;
}

// Everything in the lane whose turn it is was read and let go of: the node may have the slot.
void Receiver::drop_finished() {
  client_.post(lanes_[turn_]->released());
  stats_.skipped += lanes_[turn_]->skipped();
  lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(turn_));
  burst_ = kBurst;
  if (turn_ >= lanes_.size()) turn_ = 0;
}

// What was shown last is not looked at any more.
void Receiver::let_go() {
  if (held_ == nullptr || lost_held_) return;
  if (held_->done()) {
    held_ = nullptr;
    return;
  }
  lost_held_ = true;
  if (!held_message_) return;
  // It may have been overwritten under the eyes of whoever looked: it counts as missed.
  stats_.delivered--;
  stats_.bytes -= held_bytes_;
}

void Receiver::release() {
  let_go();
  if (lost_held_) return;
  for (const auto& lane : lanes_)
    lane->release();
}

Errc Receiver::recv(penstock_message& out, int64_t timeout_ns) {
  let_go();
  if (client_.state() == Client::State::kClosed) return Errc::kClosed;
  if (next(out)) return Errc::kOk;
  return timeout_ns == 0 ? glance(out) : wait(out, timeout_ns);
}

int64_t Receiver::poll(penstock_handler handler, void* context, size_t limit) {
  let_go();
  if (client_.state() == Client::State::kClosed) return -static_cast<int64_t>(Errc::kClosed);
  penstock_message m;
  size_t n = 0;
  while (n < limit && next(m)) {
    handler(context, &m);
    let_go();
    n++;
  }
  if (n == 0 && limit != 0) {
    const Errc e = glance(m);
    if (e == Errc::kTimeout) return 0;
    if (e != Errc::kOk) return -static_cast<int64_t>(e);
    handler(context, &m);
    let_go();
    n = 1;
  }
  for (const auto& lane : lanes_)
    lane->release();
  return static_cast<int64_t>(n);
}

// Nothing was found: why not, and will there be?
Errc Receiver::nothing() const {
  if (more_) return Errc::kTimeout;
  if (failed_ != Errc::kOk) return failed_;
  return client_.state() == Client::State::kUp ? Errc::kTimeout : Errc::kClosed;
}

void Receiver::read_stats(penstock_receiver_stats& out) const {
  out = stats_;
  out.lanes = static_cast<uint32_t>(lanes_.size());
  for (const auto& lane : lanes_)
    out.skipped += lane->skipped();
}

}  // namespace penstock::client
