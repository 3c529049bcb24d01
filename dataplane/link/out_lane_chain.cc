// What an OutLane sends of messages that go down a chain: announcements, orders to pass them on,
// and the rest of such as did not get on.
#include <algorithm>
#include <cstring>

#include "dataplane/link/chain.h"
#include "dataplane/link/out_lane.h"
#include "dataplane/wire/hop_header.h"
#include "dataplane/wire/relay.h"

namespace penstock {

// kDry: nothing urgent after all.
OutLane::Next OutLane::peek_urgent() {
  switch (seat_->next_urgent()) {
    case ChainSeat::Urgent::kPass:
      return Next::kPass;
    case ChainSeat::Urgent::kRest:
      return Next::kRest;
    case ChainSeat::Urgent::kNone:
      break;
  }
  return Next::kDry;
}

// kDry: the seat wakes the lane when it may go on.
OutLane::Next OutLane::peek_large(const Message& m, bool puts) {
  switch (seat_->step(m, puts)) {
    case ChainSeat::Step::kAnnounce:
      return Next::kAnnounce;
    case ChainSeat::Step::kWait:
      return Next::kDry;
    case ChainSeat::Step::kSend:
      break;
  }
  return puts ? Next::kPut : Next::kPiece;
}

bool OutLane::leads(uint64_t bytes) const {
  return seat_ != nullptr && seat_->followed(bytes);
}

// The first block, and behind it where the others come from. To this lane the message is sent.
Sent OutLane::write_announce(TxFrame& frame, uint32_t body_room) {
  const Message& m = staged_[staged_at_];
  begin_pieces(m, true, can_put(m));
  Sent what{this, next_,           0, static_cast<uint32_t>(std::min(m.len, kArenaAlign)),
            true, Carry::kAnnounce};
  finish_pieces();
  rewrite_chain(what, frame, body_room);
  return what;
}

Sent OutLane::write_pass(TxFrame& frame) {
  Sent what{this, 0, 0, 1, true, Carry::kPass};
  seat_->first_pass(what.offset, what.position);
  rewrite_chain(what, frame, 0);
  return what;
}

Sent OutLane::write_rest(TxFrame& frame, uint32_t body_room) {
  ChainSeat::Large& l = *seat_->rest();
  const uint64_t left = l.len - l.rest_at;
  Sent what{this, l.position, l.rest_at, static_cast<uint32_t>(std::min<uint64_t>(left, body_room)),
            true};
  rewrite(what, frame, body_room);
  l.rest_at += what.count;
  return what;
}

// Whatever of it is no longer wanted goes with count 0; an announcement after a fall-back as the
// piece that it is.
void OutLane::rewrite_chain(Sent& sent, TxFrame& frame, uint32_t body_room) {
  if (sent.carry == Carry::kPass) {
    Pass p;
    if (!seat_->make_pass(sent.offset, sent.position, p)) {
      sent.count = 0;
      return;
    }
    penstock::write_pass(p, {frame.data + kHopHeaderSize, kPassSize});
    frame.len = kHopHeaderSize + kPassSize;
    return;
  }
  const ChainSeat::Large* relayed = seat_->relayed_at(sent.position);
  sent.carry = Carry::kOwn;
  rewrite(sent, frame, body_room);
  if (relayed == nullptr || sent.count == 0 || !sent.piece) return;
  sent.carry = Carry::kAnnounce;
  if (frame.payload_len != 0) std::memcpy(frame.data + frame.len, frame.payload, frame.payload_len);
  frame.len += frame.payload_len;
  frame.payload = nullptr;
  frame.payload_len = frame.part_len = 0;
  frame.region = nullptr;
  write_announce_tail(seat_->relay_of(*relayed), relayed->puts, frame.data + frame.len);
  frame.len += kAnnounceTailSize;
}

void OutLane::on_landed(const Landed& l) {
  const bool sane = l.position - delivered_ <= next_ - delivered_;
  if (!sane || seat_ == nullptr) return;
  if ((l.landed & Landed::kRefused) != 0) {
    if (l.position != next_) seat_->refused(l.position, l.landed & ~Landed::kRefused);
    return;
  }
  arrived_before(l.position);
  if (l.position != next_) {
    SentMessage& s = record(l.position);
    const uint64_t from = l.position == seat_->landed_position_ ? seat_->landed_ : 0;
    const uint64_t to = l.landed >= s.len ? s.len : l.landed & ~(kArenaAlign - 1);
    if (s.kind == Kind::kPieces && s.left != 0 && to > from) {
      s.left -= static_cast<uint32_t>(blocks_.set(s.arena + from, to - from));
      if (s.left == 0) blocks_.clear(s.arena, s.len);
      seat_->alone_for_ = 0;
      seat_->landed_position_ = l.position;
      seat_->landed_ = to;
    }
  }
  settle();
}

}  // namespace penstock
