// What comes to an EmulatedEndpoint. Frames were parsed; nothing else in them is believed.
#include <algorithm>
#include <cstring>

#include "rdma/emulated/emulated_endpoint.h"

namespace penstock {

void EmulatedEndpoint::take(const EmulatedFrame& f, uint64_t now) {
  if (state() == State::kNew) return;
  if (state() == State::kError) {
    // Whoever still speaks may not have heard.
    if (refused_ != 0 && f.packet != 0) refusal_owed_ = true;
    return;
  }
  if (!take_ack(f.ack, f.sack, now)) return;
  if (f.type == EmulatedType::kRefused) {
    if (f.refused >= next_packet_) return;  // not sent yet
    finish();
    return fail(f.code);
  }
  if (f.packet != 0) take_packet(f, now);
}

// False: it acknowledges what was not sent.
bool EmulatedEndpoint::take_ack(uint64_t ack, uint64_t sack, uint64_t now) {
  if (ack > next_packet_) return false;
  for (; una_ < ack; una_++)
    acked(una_, now);
  if (ack != una_) return true;  // an old one
  for (uint64_t n = ack + 1; sack != 0 && n < next_packet_; n++, sack >>= 1)
    if ((sack & 1) != 0) acked(n, now);
  return true;
}

void EmulatedEndpoint::acked(uint64_t number, uint64_t now) {
  Packet& p = packet(number);
  if (p.acked) return;
  p.acked = true;
  on_their_way_--;
  if (p.type == EmulatedType::kPiece) pieces_out_--;
  highest_acked_ = std::max(highest_acked_, number);
  progress_at_ = now;
  if (p.tries == 1) measure(now - p.sent_at);
  window_ = std::min(window_ + 1 / window_, static_cast<double>(kEmulatedWindow));
}

// As TCP does (RFC 6298).
void EmulatedEndpoint::measure(uint64_t ns) {
  if (srtt_ == 0) {
    srtt_ = std::max<uint64_t>(ns, 1);
    rttvar_ = ns / 2;
    return;
  }
  const uint64_t off = ns > srtt_ ? ns - srtt_ : srtt_ - ns;
  rttvar_ = (3 * rttvar_ + off) / 4;
  srtt_ = std::max<uint64_t>((7 * srtt_ + ns) / 8, 1);
}

void EmulatedEndpoint::take_packet(const EmulatedFrame& f, uint64_t now) {
  ack_owed_ = true;
  if (f.packet < rx_next_ || f.packet - rx_next_ >= kEmulatedWindow || arrived(f.packet).here) {
    fabric_.frames_.doubled.add(1);
    return;
  }
  Arrived& a = arrived(f.packet);
  a = {.here = true, .address = f.address, .key = f.key, .bytes = f.bytes};
  switch (f.type) {
    case EmulatedType::kPut:
      take_put(f, a);
      break;
    case EmulatedType::kGet:
      a.then = Arrived::Then::kAnswer;
      a.word = f.request;
      break;
    case EmulatedType::kFlush:
      if (fabric_.memory_.remote(f.key, f.address, 1, kRemoteGet) == nullptr) {
        a.then = Arrived::Then::kRefuse;
        a.code = FabricCode::kRemoteAccess;
      }
      break;
    case EmulatedType::kPiece:
      take_piece(f, now);
      break;
    case EmulatedType::kAck:
    case EmulatedType::kRefused:
      break;
  }
  advance();
}

void EmulatedEndpoint::take_put(const EmulatedFrame& f, Arrived& a) {
  if (f.has_immediate) {
    a.then = Arrived::Then::kImmediate;
    a.word = f.immediate;
  }
  if (f.bytes == 0) return;
  std::byte* to = fabric_.memory_.remote(f.key, f.address, f.bytes, kRemotePut);
  if (to != nullptr) {
    std::memcpy(to + f.at, f.payload.data(), f.payload.size());
    return;
  }
  a.then = Arrived::Then::kRefuse;
  a.code = FabricCode::kRemoteAccess;
}

// Of a get of ours; what was not asked for goes nowhere.
void EmulatedEndpoint::take_piece(const EmulatedFrame& f, uint64_t now) {
  const uint64_t n = finished_ + (f.request - static_cast<uint32_t>(finished_));
  if (n >= sending_) return;
  Slot& s = slot(n);
  const FabricRequest& r = s.request;
  if (r.op != FabricOp::kGet || f.bytes != r.bytes || s.got == r.bytes) return;
  if (f.payload.size() > r.bytes - s.got || !fabric_.memory_.local(r)) return;
  std::memcpy(r.local + f.at, f.payload.data(), f.payload.size());
  s.got += static_cast<uint32_t>(f.payload.size());
  progress_at_ = now;
  if (s.got == r.bytes) gets_out_--;
}

// What the packets say that have come without a gap.
void EmulatedEndpoint::advance() {
  while (arrived(rx_next_).here) {
    Arrived& a = arrived(rx_next_);
    if (a.then == Arrived::Then::kImmediate &&
        !fabric_.push_immediate({number_, a.word, a.bytes})) {
      fabric_.stats_.receiver_not_ready.add(1);
      a.then = Arrived::Then::kRefuse;
      a.code = FabricCode::kReceiverNotReady;
    }
    if (a.then == Arrived::Then::kAnswer && a.bytes != 0) {
      const bool may = fabric_.memory_.remote(a.key, a.address, a.bytes, kRemoteGet) != nullptr;
      if (!may || answers_ == kGets) {
        a.then = Arrived::Then::kRefuse;
        a.code = may ? FabricCode::kDevice : FabricCode::kRemoteAccess;
      } else {
        Packet& p = answer_[(answer_first_ + answers_++) % kGets];
        p = {};
        p.type = EmulatedType::kPiece;
        p.address = a.address;
        p.key = a.key;
        p.bytes = a.bytes;
        p.theirs = a.word;
        p.asked_by = rx_next_;
      }
    }
    if (a.then == Arrived::Then::kRefuse) {
      // Gets before it are answered first: its peer gives its code to the request that it hit.
      if (answers_ == 0 && pieces_out_ == 0) refuse(rx_next_, a.code);
      return;
    }
    a.here = false;
    rx_next_++;
  }
}

void EmulatedEndpoint::refuse(uint64_t number, FabricCode code) {
  refused_ = number;
  refused_code_ = code;
  refusal_owed_ = true;
  fail(FabricCode::kCanceled);
  fabric_.event(FabricEventKind::kEndpointError, number_);
}

uint64_t EmulatedEndpoint::sack() const {
  uint64_t bits = 0;
  for (uint64_t i = 0; i + 1 < kEmulatedWindow; i++)
    if (arrived_[(rx_next_ + 1 + i) % kEmulatedWindow].here) bits |= uint64_t{1} << i;
  return bits;
}

}  // namespace penstock
