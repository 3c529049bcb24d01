#include "dataplane/client/receiver.h"

#include "dataplane/client/last_error.h"

namespace penstock::client {

// The next message or gap of any lane. False: none now, or (more_) none yet.
bool Receiver::next(const penstock_message*& out) {
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
        held_bytes_ = out->parts == 1 ? out->len : out->whole_len;
        stats_.delivered++;
        stats_.bytes += held_bytes_;
        if (--burst_ == 0) next_lane();
        if (--unlooked_ == 0) [[unlikely]]
          look_while_busy();
        return true;
      case JoinedLane::Next::kGap:
        held_ = &lane;
        held_message_ = false;
        if (out->gap_count != PENSTOCK_GAP_UNKNOWN)
          stats_.gaps[out->gap_reason % PENSTOCK_REASONS] += out->gap_count;
        if (--burst_ == 0) next_lane();
        if (--unlooked_ == 0) look_while_busy();
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

bool Receiver::evicted(JoinedLane& lane, bool in_use, const penstock_message*& out) {
  held_ = nullptr;
  uint64_t lost = 0;
  out = lane.end_evicted(in_use, lost);
  stats_.gaps[out->gap_reason % PENSTOCK_REASONS] += lost;
  return true;
}

void Receiver::next_lane() {
  burst_ = kBurst;
  if (++turn_ >= lanes_.size()) turn_ = 0;
}

// There is always something to read, so nobody comes to glance(). What is shown stays: lanes are
// only added, or marked. While it is time each time, it is asked each time.
void Receiver::look_while_busy() {
  unlooked_ = kBurst;
  if (!pacer_.decide()) return;
  unlooked_ = 1;
  client_.drain();
}

// Everything in the lane whose turn it is was read and let go of: the node may have the slot.
void Receiver::drop_finished() {
  client_.post(lanes_[turn_]->released());
  stats_.skipped += lanes_[turn_]->skipped();
  lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(turn_));
  burst_ = kBurst;
  if (turn_ >= lanes_.size()) turn_ = 0;
}

// The node evicted the reader while what was shown last was still looked at: it may have been
// overwritten, and so counts as missed.
void Receiver::lose_held() {
  lost_held_ = true;
  if (!held_message_) return;
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
  const penstock_message* m = nullptr;
  Errc e = Errc::kOk;
  if (!next(m)) [[unlikely]]
    e = timeout_ns == 0 ? glance(m) : wait(m, timeout_ns);
  settled_ = false;
  if (e == Errc::kOk) out = *m;
  return e;
}

// The one thing that a program which polls does all the time: finding nothing. That is when poll()
// left nothing open before, and nothing has come since.
int64_t Receiver::poll(penstock_handler handler, void* context, size_t limit) {
  if (!settled_ || client_.state() != Client::State::kUp || !vacant(vacant_ >= kWaiting)) {
    vacant_ = 0;
    return take(handler, context, limit);
  }
  vacant_++;
  return pacer_.tick() ? look_around(handler, context, limit) : 0;
}

int64_t Receiver::look_around(penstock_handler handler, void* context, size_t limit) {
  if (!pacer_.decide()) return 0;
  client_.drain();
  return take(handler, context, limit);
}

int64_t Receiver::take(penstock_handler handler, void* context, size_t limit) {
  let_go();
  if (client_.state() == Client::State::kClosed) return -static_cast<int64_t>(Errc::kClosed);
  settled_ = false;
  size_t n = 0;
  const penstock_message* m = nullptr;
  for (;;) {
    n += take_plain(handler, context, limit - n, n != 0);
    if (n == limit || (n != 0 && vacant(false)) || !next(m)) break;
    handler(context, m);
    let_go();
    n++;
  }
  if (n == 0 && limit != 0) {
    const Errc e = glance(m);
    if (e != Errc::kOk && e != Errc::kTimeout) return -static_cast<int64_t>(e);
    if (e == Errc::kOk) {
      handler(context, m);
      let_go();
      n = 1;
    }
  } else if (n != 0 && --unlooked_ == 0) [[unlikely]] {
    look_while_busy();
  }
  if (!lost_held_) {
    for (const auto& lane : lanes_)
      lane->release();
    settled_ = !watched_ && failed_ == Errc::kOk && ended_.empty();
  }
  return static_cast<int64_t>(n);
}

// What take() does with nearly every message: up to a turn of the lane whose turn it is. `more`:
// some came before.
size_t Receiver::take_plain(penstock_handler handler, void* context, size_t limit, bool more) {
  if (lost_held_ || lanes_.empty()) return 0;
  JoinedLane& lane = *lanes_[turn_];
  const auto most = static_cast<uint32_t>(std::min<size_t>(limit, burst_));
  uint64_t bytes = 0;
  uint32_t n = 0;
  while (n < most) {
    const penstock_message* m = lane.next_plain(more || n >= 4);
    if (m == nullptr) break;
    n++;
    bytes += m->len;
    handler(context, m);
    if (!lane.done(true)) [[unlikely]] {
      held_ = &lane;
      held_message_ = true;
      held_bytes_ = m->len;
      lose_held();
      break;
    }
  }
  stats_.delivered += n;
  stats_.bytes += bytes;
  burst_ -= n;
  if (burst_ == 0) next_lane();
  return n;
}

// Nothing was found: why not, and will there be?
Errc Receiver::nothing() const {
  if (more_) return Errc::kTimeout;
  if (failed_ != Errc::kOk) return failed_;
  if (!ended_.empty() && lanes_.empty()) return fail(Errc::kEvicted, "%s", ended_.c_str());
  return client_.state() == Client::State::kUp ? Errc::kTimeout : Errc::kClosed;
}

void Receiver::read_stats(penstock_receiver_stats& out) const {
  out = stats_;
  out.lanes = static_cast<uint32_t>(lanes_.size());
  for (const auto& lane : lanes_)
    out.skipped += lane->skipped();
}

}  // namespace penstock::client
