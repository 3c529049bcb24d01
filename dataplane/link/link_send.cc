// Frames out. A burst of one lane becomes a few frames; nothing waits for a frame to be full.
#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "dataplane/link/chain.h"
#include "dataplane/link/link.h"
#include "dataplane/wire/crc32c.h"
#include "dataplane/wire/ping.h"

namespace penstock {
namespace {

constexpr size_t kLaneTurn = 8;          // frames that a lane may send before the next one's turn
constexpr size_t kAckCredits = 64;       // lanes that one ACK looks at
constexpr uint64_t kIdleNs = 1'000'000;  // then what was allowed before is not known to be so still

// Takes what went off the front of what is to go. False: that was all.
bool advance(Sent& rest, const Sent& went) {
  if (rest.piece != went.piece) return false;  // it went as a gap
  uint64_t& at = rest.piece ? rest.offset : rest.position;
  const uint64_t end = at + rest.count;
  at = (went.piece ? went.offset : went.position) + went.count;
  rest.count = static_cast<uint32_t>(end - at);
  return rest.count != 0;
}

FrameType type_of(const Sent& what) {
  switch (what.carry) {
    case Carry::kAnnounce:
      return FrameType::kAnnounce;
    case Carry::kPass:
      return FrameType::kPass;
    case Carry::kRelayed:
      return FrameType::kRelayed;
    case Carry::kOwn:
      break;
  }
  return what.piece ? FrameType::kFragment : FrameType::kBatch;
}

}  // namespace

size_t Link::transmit(std::span<TxFrame> frames, uint64_t now) {
  pass_time(now);
  run_timers(now);
  for (TxFrame& f : frames) {
    assert(f.room >= config_.max_frame);
    f.len = f.payload_len = f.part_len = 0;
    f.payload = nullptr;
    f.region = nullptr;
  }
  const size_t n = send_setup(frames, now);
  return state_ == LinkState::kUp ? n + send_session(frames.subspan(n), now) : n;
}

size_t Link::send_setup(std::span<TxFrame> frames, uint64_t now) {
  size_t n = 0;
  if (send_close_ && n < frames.size()) {
    send_close_ = false;
    TxFrame& f = frames[n++];
    write_close(close_, {f.data + kHopHeaderSize, kCloseSize});
    f.len = kHopHeaderSize + kCloseSize;
    finish(f, FrameType::kClose, 0, close_connection_, now);
  }
  if (send_hello_ack_ && n < frames.size()) {
    send_hello_ack_ = false;
    TxFrame& f = frames[n++];
    Hello h = hello(hello_ack_nonce_);
    h.cookie = 0;
    const size_t size = write_hello_ack(h, {f.data + kHopHeaderSize, kHelloSize});
    f.len = static_cast<uint32_t>(kHopHeaderSize + size);
    finish(f, FrameType::kHelloAck, 0, peer_.connection, now);
  }
  if (send_hello_ && n < frames.size()) {
    send_hello_ = false;
    TxFrame& f = frames[n++];
    const size_t size =
        write_hello(hello(nonce_), {f.data + kHopHeaderSize, kHelloFrameSize - kHopHeaderSize});
    f.len = static_cast<uint32_t>(kHopHeaderSize + size);
    finish(f, FrameType::kHello, 0, 0, now);
  }
  return n;
}

// Contents first: an answer must not wait for an ACK to be made. But room is kept for what is due,
// or a saturated link would never say it.
size_t Link::send_session(std::span<TxFrame> frames, uint64_t now) {
  const size_t due = (ack_due(now) ? 1u : 0u) + (send_ping_ ? 1u : 0u) + (send_pong_ ? 1u : 0u) +
                     (mtu_.next_at() <= now ? 1u : 0u) + (relay_.report_at() <= now ? 1u : 0u);
  const auto room = frames.first(frames.size() - std::min(frames.size(), due));
  size_t n = send_again(room, now);
  n += send_lanes(room.subspan(n), now);
  if (n != 0) arm_probe();
  if (n < frames.size() && ack_due(now)) send_ack(frames[n++], now);
  if (relay_.report_at() <= now) n += relay_.send_landed(frames.subspan(n), now);
  if (n < frames.size() && send_pong_) {
    send_pong_ = false;
    send_token(frames[n++], FrameType::kPong, 0, pong_token_, now);
  }
  if (n < frames.size() && send_ping_) {
    send_ping_ = false;
    ping_token_ = now;
    send_token(frames[n++], FrameType::kPing, ping_flags_, now, now);
    ping_flags_ = 0;
  }
  if (n < frames.size() && mtu_.next_at() <= now) n += send_size_probe(frames[n], now);
  return n;
}

size_t Link::send_again(std::span<TxFrame> frames, uint64_t now) {
  size_t n = 0;
  while (n < frames.size() && may_send(now) && again_head_ != again_tail_) {
    Sent& front = again_[again_head_ & (again_.size() - 1)];
    Sent what = front;
    if (what.lane != nullptr) {
      what.lane->rewrite(what, frames[n], body_room());
    } else if (what.carry == Carry::kRelayed) {
      relay_.rewrite(what, frames[n]);
    }
    if (!LinkRelay::wanted(what) || what.count == 0) {
      if (what.carry == Carry::kRelayed) relay_.done(front, false);
      again_head_++;
      continue;
    }
    if (what.lane != nullptr) what.lane->stats_.retransmitted.add(1);
    stats_.retransmitted.add(1);
    send_contents(frames[n++], what, true, now);
    if (advance(front, what)) continue;
    if (what.carry == Carry::kRelayed) relay_.done(front, false);
    again_head_++;
  }
  return n;
}

size_t Link::send_lanes(std::span<TxFrame> frames, uint64_t now) {
  if (again_head_ != again_tail_) return 0;
  size_t n = 0;
  if (control_ != nullptr) {
    OutLane& lane = *control_;
    n += send_lane(lane, frames, now);
    if (lane.state_ != OutLane::State::kActive) control_ = nullptr;
  }
  if (relay_.ready()) {
    const auto turn = frames.subspan(n);
    n += relay_.send(turn.first(std::min(kLaneTurn, turn.size())), now);
  }
  while (n < frames.size() && round_head_ != round_tail_ && may_send(now)) {
    OutLane* lane = round_[round_head_++ & (round_.size() - 1)];
    const auto turn = frames.subspan(n, std::min(kLaneTurn, frames.size() - n));
    n += send_lane(*lane, turn, now);
    if (lane->state_ == OutLane::State::kActive) round_[round_tail_++ & (round_.size() - 1)] = lane;
  }
  return n;
}

size_t Link::send_lane(OutLane& lane, std::span<TxFrame> frames, uint64_t now) {
  size_t n = 0;
  lane.puts_full_ = false;
  while (n < frames.size() && may_send(now)) {
    TxFrame& f = frames[n];
    const OutLane::Next next = lane.peek();
    switch (next) {
      case OutLane::Next::kDry:
        lane.state_ = OutLane::State::kDry;
        if (lane.seat_ != nullptr) lane.seat_->stopped();
        return n;
      case OutLane::Next::kBlocked:
        lane.state_ = OutLane::State::kBlocked;
        lane.stats_.blocked.add(1);
        blocked_++;
        arm_credit_probe(now);
        if (lane.seat_ != nullptr) lane.seat_->stopped();
        return n;
      case OutLane::Next::kBatch: {
        uint32_t size = 0;
        const Sent what = lane.write_batch({f.data + kHopHeaderSize, body_room()}, size);
        f.len = static_cast<uint32_t>(kHopHeaderSize) + size;
        send_contents(f, what, false, now);
        break;
      }
      case OutLane::Next::kPiece:
        send_contents(f, lane.write_piece(f, body_room()), false, now);
        break;
      case OutLane::Next::kAnnounce:
        send_contents(f, lane.write_announce(f, body_room()), false, now);
        break;
      case OutLane::Next::kPass:
        send_contents(f, lane.write_pass(f), false, now);
        break;
      case OutLane::Next::kRest:
        send_contents(f, lane.write_rest(f, body_room()), false, now);
        break;
      case OutLane::Next::kPutRest:
        send_contents(f, lane.write_put_rest(f, body_room()), false, now);
        break;
      case OutLane::Next::kPut:
      case OutLane::Next::kPutAgain: {
        const bool again = next == OutLane::Next::kPutAgain;
        const PutPath::Take take = again ? lane.put_again() : lane.put_next();
        if (take == PutPath::Take::kTaken) continue;
        if (take == PutPath::Take::kFull) {
          lane.puts_full_ = true;
          lane.state_ = OutLane::State::kDry;
          return n;
        }
        const Sent what =
            again ? lane.write_put_rest(f, body_room()) : lane.write_piece(f, body_room());
        send_contents(f, what, false, now);
      }
    }
    n++;
  }
  return n;
}

// A frame whose body is written. The last one that the window allows asks for an answer at once, as
// does whatever goes a second time.
void Link::send_contents(TxFrame& frame, const Sent& what, bool again, uint64_t now) {
  if (packets_.in_flight() == 0 && allowed_ != kNever && now > packets_.last_at() + kIdleNs)
    allowed_ = next_packet_ + Congestion::kFirst - 1;
  const uint8_t port = spread_.next();
  packets_.add(next_packet_, now, what, frame.len + frame.payload_len, port);
  if (probes_owed_ != 0) probes_owed_--;
  if (const uint64_t pause = congestion_.pause_ns(rtt_.smoothed()); pause != 0) [[unlikely]]
    pace_at_ = now + pause;
  const bool last = !may_send(now) || next_packet_ >= allowed_;
  const uint8_t flags = again || last ? uint8_t{kHopAckNow} : uint8_t{0};
  finish(frame, type_of(what), flags, peer_.connection, now, port);
}

void Link::send_ack(TxFrame& frame, uint64_t now) {
  std::array<Credit, kAckCredits> credits;
  const size_t room = std::min(credits.size(), credits_that_fit(body_room()));
  size_t n = 0;
  for (size_t looks = std::min(giving_.size(), room); looks > 0; looks--) {
    if (giving_at_ >= giving_.size()) giving_at_ = 0;
    InLane* lane = giving_[giving_at_];
    const uint64_t before = lane->granted_.arena + lane->granted_.position;
    const Credit c = lane->grant();
    if (lane->owed_ || c.arena_position + c.position != before) credits[n++] = c;
    if (lane->owed_) owed_--;
    lane->owed_ = false;
    if (lane->holding()) {
      giving_at_++;
      continue;
    }
    lane->giving_ = false;
    giving_[giving_at_] = giving_.back();
    giving_.pop_back();
  }
  Ack ack = received_.ack(now);
  ack.marked = marks_;
  if (inflow_ != nullptr) {
    ack.allowed = inflow_->share(sender_, now, rtt_.min(), limit_);
    received_.allow(ack.allowed);
  }
  const size_t size =
      write_ack(ack, {credits.data(), n}, {frame.data + kHopHeaderSize, body_room()});
  frame.len = static_cast<uint32_t>(kHopHeaderSize + size);
  finish(frame, FrameType::kAck, 0, peer_.connection, now, spread_.next());
  received_.acked();
  send_ack_ = false;
  stats_.acks_out.add(1);
  if (giving_.empty()) {
    credit_look_at_ = kNever;
  } else {
    credit_look_at_ = now + credit_pause_;
  }
}

void Link::send_token(TxFrame& frame, FrameType type, uint8_t flags, uint64_t token, uint64_t now) {
  write_ping(token, {frame.data + kHopHeaderSize, kPingSize});
  frame.len = kHopHeaderSize + kPingSize;
  finish(frame, type, flags, peer_.connection, now, spread_.next());
}

// A PING of the size that the path may carry. Its token differs from that of another PING.
size_t Link::send_size_probe(TxFrame& frame, uint64_t now) {
  const uint32_t size = mtu_.due(now);
  if (size == 0) return 0;
  size_token_ = ~now;
  std::memset(frame.data + kHopHeaderSize, 0, size - kHopHeaderSize);
  write_ping(size_token_, {frame.data + kHopHeaderSize, kPingSize});
  frame.len = size;
  finish(frame, FrameType::kPing, 0, peer_.connection, now, spread_.next());
  mtu_.sent(now, rtt_.probe_timeout(config_.min_pto_ns));
  return 1;
}

void Link::finish(TxFrame& frame, FrameType type, uint8_t flags, uint32_t connection, uint64_t now,
                  uint8_t port) {
  frame.source_port = spread_.number(port);
  const std::span<std::byte> header{frame.data, frame.len};
  write_hop({type, flags, static_cast<uint16_t>(config_.self_epoch), connection, next_packet_++,
             static_cast<uint32_t>(now >> kTickShift), 0},
            header);
  if (frame.part_len != 0) {
    const uint32_t copied = frame.payload_len != 0 ? 0 : frame.part_len;
    seal(header.first(header.size() - copied), frame.part, frame.part_len);
  } else {
    seal(header, {frame.payload, frame.payload_len});
  }
  stats_.tx_frames.add(1);
  stats_.tx_bytes.add(uint64_t{frame.len} + frame.payload_len);
}

bool Link::has_work(uint64_t now) const {
  if (send_hello_ || send_hello_ack_ || send_close_) return true;
  if (state_ == LinkState::kUp) {
    if (send_ping_ || send_pong_ || send_ack_ || owed_ != 0) return true;
    if (contents_waiting() && may_send(now)) return true;
  }
  return next_deadline() <= now;
}

uint64_t Link::next_deadline() const {
  if (state_ == LinkState::kConnecting) return std::min(hello_at_, lost_session_at());
  if (state_ != LinkState::kUp) return kNever;
  const uint64_t paced = pace_at_ > last_call_ && contents_waiting() ? pace_at_ : kNever;
  return std::min({mtu_.next_at(), alive_at_, lost_at_, probe_at_, credit_probe_at_,
                   credit_look_at_, paced, relay_.next_deadline(),
                   received_.ack_at(config_.ack_delay_ns)});
}

}  // namespace penstock
