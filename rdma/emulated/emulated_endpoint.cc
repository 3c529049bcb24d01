#include "rdma/emulated/emulated_endpoint.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace penstock {
namespace {

struct Wire {
  uint32_t magic;
  uint32_t number;
  uint32_t nonce;
  uint32_t reserved;
  CarrierPlace place;
};
static_assert(sizeof(Wire) == sizeof(EndpointAddress));

}  // namespace

EmulatedEndpoint::EmulatedEndpoint(EmulatedFabric& fabric, uint32_t number, uint32_t nonce)
    : fabric_(fabric), number_(number), nonce_(nonce), slots_(fabric.limits_.send_depth) {}

EmulatedEndpoint::~EmulatedEndpoint() {
  fabric_.forget(*this);
  if (connected_) fabric_.carrier_.leave_route(route_);
}

EndpointAddress EmulatedEndpoint::address() const {
  const Wire w{EmulatedFabric::kMagic, number_, nonce_, 0, fabric_.carrier_.place()};
  EndpointAddress out{};
  std::memcpy(out.data(), &w, sizeof w);
  return out;
}

Errc EmulatedEndpoint::connect(const EndpointAddress& peer) {
  Wire w{};
  std::memcpy(&w, peer.data(), sizeof w);
  if (w.magic != EmulatedFabric::kMagic || w.reserved != 0) return Errc::kInvalid;
  if (state() != State::kNew) return Errc::kBusy;
  const auto route = fabric_.carrier_.take_route(w.place);
  if (!route.ok()) return route.error();
  route_ = *route;
  peer_number_ = w.number;
  peer_nonce_ = w.nonce;
  connected_ = true;
  state_.store(static_cast<uint64_t>(State::kReady));
  return Errc::kOk;
}

void EmulatedEndpoint::stop() {
  state_.store(static_cast<uint64_t>(State::kError));
  fabric_.worker_is_out();
}

size_t EmulatedEndpoint::post(std::span<const FabricRequest> in) {
  if (!connected_) return 0;
  const size_t n = std::min<size_t>(in.size(), slots_.size() - (posted_ - told_));
  for (const FabricRequest& r : in.first(n)) {
    assert(r.bytes <= fabric_.limits_.max_message);
    Slot& s = slot(posted_++);
    s.request = r;
    s.code = FabricCode::kOk;
    s.last_packet = 0;
    s.got = 0;
    if (!r.inlined || r.bytes == 0) continue;
    assert(r.bytes <= fabric_.limits_.max_inline && r.op <= FabricOp::kPutImmediate);
    std::memcpy(s.inlined.data(), r.local, r.bytes);
  }
  if (n != 0) {
    fabric_.stats_.requests.add(n);
    fabric_.stats_.doorbells.add(1);
  }
  return n;
}

void EmulatedEndpoint::turn(uint64_t now) {
  if (state() == State::kNew) return;
  if (state() == State::kError) {
    if (finished_ != posted_) fail(FabricCode::kCanceled);
    if (refusal_owed_) send_bare(EmulatedType::kRefused);
    return;
  }
  // Time in which this side did not look is not the peer's.
  if (const uint64_t gap = now - last_turn_; gap > fabric_.config_.timeout_ns / 8)
    progress_at_ = std::min(now, progress_at_ + gap);
  last_turn_ = now;
  advance();
  if (idle()) progress_at_ = now;
  if (now - progress_at_ >= fabric_.config_.timeout_ns) return fail(FabricCode::kTimeout);
  if (on_their_way_ != 0) send_late(now);
  if (state() == State::kReady) send_new(now);
  finish();
  if (ack_owed_) send_bare(EmulatedType::kAck);
}

// A packet is late when its time is over, or when three after it have come and a round trip has
// passed: those of one turn may be in any order.
void EmulatedEndpoint::send_late(uint64_t now) {
  const uint64_t rto = srtt_ == 0 ? fabric_.config_.first_rto_ns
                                  : std::max(fabric_.config_.least_rto_ns, srtt_ + 4 * rttvar_);
  for (uint64_t n = una_; n != next_packet_; n++) {
    Packet& p = packet(n);
    if (p.acked) continue;
    const uint64_t waited = now - p.sent_at;
    const bool passed = highest_acked_ >= n + 3 && srtt_ != 0 && waited > srtt_ + srtt_ / 4;
    if (!passed && waited < rto << std::min(p.tries - 1, 4u)) continue;
    if (!send(n, now)) return;
    fabric_.frames_.resent.add(1);
    if (n < halved_before_) continue;
    window_ = std::max(2.0, window_ / 2);
    halved_before_ = next_packet_;
  }
}

void EmulatedEndpoint::send_new(uint64_t now) {
  while (next_packet_ - una_ < kEmulatedWindow && on_their_way_ < static_cast<uint64_t>(window_)) {
    if (fabric_.frame() == nullptr) return;
    Packet& p = packet(next_packet_);
    p = {};
    // Answers first: the peer has fewer of them than it may have requests.
    if (!next_answer(p) && !next_request(p)) return;
    if (!send(next_packet_, now)) return;
    began(p);
  }
}

bool EmulatedEndpoint::next_answer(Packet& p) {
  if (answers_ == 0) return false;
  p = answer_[answer_first_ % kGets];
  p.len = std::min(fabric_.piece_, p.bytes - p.at);
  return true;
}

bool EmulatedEndpoint::next_request(Packet& p) {
  if (sending_ == posted_ || bad_ != FabricCode::kOk) return false;
  const FabricRequest& r = slot(sending_).request;
  if (!fabric_.memory_.local(r)) {
    bad_ = FabricCode::kLocalAccess;
    return false;
  }
  p.request = sending_;
  switch (r.op) {
    case FabricOp::kPut:
    case FabricOp::kPutImmediate:
      p.type = EmulatedType::kPut;
      p.at = sent_of_it_;
      p.len = std::min(fabric_.piece_, r.bytes - sent_of_it_);
      return true;
    case FabricOp::kGet:
      p.type = EmulatedType::kGet;
      return gets_out_ < kGets;
    case FabricOp::kFlush:
      p.type = EmulatedType::kFlush;
      return true;
  }
  return false;
}

// The packet has gone for the first time.
void EmulatedEndpoint::began(const Packet& p) {
  next_packet_++;
  on_their_way_++;
  if (p.type == EmulatedType::kPiece) {
    pieces_out_++;
    Packet& a = answer_[answer_first_ % kGets];
    a.at += p.len;
    if (a.at != a.bytes) return;
    answer_first_++;
    answers_--;
    return;
  }
  const FabricRequest& r = slot(sending_).request;
  if (p.type == EmulatedType::kGet && r.bytes != 0) gets_out_++;
  sent_of_it_ += p.len;
  if (p.type == EmulatedType::kPut && sent_of_it_ != r.bytes) return;
  slot(sending_).last_packet = next_packet_ - 1;
  sending_++;
  sent_of_it_ = 0;
}

// False: no room for it now, or what it is made of is not there any more.
bool EmulatedEndpoint::send(uint64_t number, uint64_t now) {
  CarrierFrame* out = fabric_.frame();
  if (out == nullptr) return false;
  Packet& p = packet(number);
  EmulatedFrame f;
  f.type = p.type;
  f.packet = number;
  if (!fill(p, f, out->data + emulated_header(p.type))) return false;
  p.sent_at = now;
  p.tries++;
  return send_frame(f, out->data);
}

bool EmulatedEndpoint::fill(const Packet& p, EmulatedFrame& f, std::byte* payload) {
  if (p.type == EmulatedType::kPiece) {
    const std::byte* from = fabric_.memory_.remote(p.key, p.address, p.bytes, kRemoteGet);
    if (from == nullptr) {
      refuse(p.asked_by, FabricCode::kRemoteAccess);
      return false;
    }
    std::memcpy(payload, from + p.at, p.len);
    f.request = p.theirs;
    f.at = p.at;
    f.bytes = p.bytes;
    f.payload = {payload, p.len};
    return true;
  }
  const Slot& s = slot(p.request);
  const FabricRequest& r = s.request;
  f.address = r.remote_address;
  f.key = r.remote_key;
  f.bytes = r.bytes;
  f.request = static_cast<uint32_t>(p.request);
  if (p.type != EmulatedType::kPut) return true;
  f.at = p.at;
  f.payload = {payload, p.len};
  f.has_immediate = r.op == FabricOp::kPutImmediate && p.at + p.len == r.bytes;
  if (f.has_immediate) f.immediate = r.immediate;
  if (p.len != 0) std::memcpy(payload, (r.inlined ? s.inlined.data() : r.local) + p.at, p.len);
  return true;
}

bool EmulatedEndpoint::send_frame(EmulatedFrame& f, std::byte* data) {
  f.to = peer_number_;
  f.nonce = peer_nonce_;
  f.ack = rx_next_;
  f.sack = sack();
  CarrierFrame& out = fabric_.out_[fabric_.out_used_++];
  out.len = static_cast<uint32_t>(write_emulated(f, data));
  out.route = route_;
  ack_owed_ = false;
  fabric_.frames_.sent.add(1);
  return true;
}

void EmulatedEndpoint::send_bare(EmulatedType type) {
  CarrierFrame* out = fabric_.frame();
  if (out == nullptr) return;
  EmulatedFrame f;
  f.type = type;
  f.refused = refused_;
  f.code = refused_code_;
  if (type == EmulatedType::kRefused) refusal_owed_ = false;
  (void)send_frame(f, out->data);
}

// Requests are through in the order in which they were posted.
void EmulatedEndpoint::finish() {
  for (; finished_ != posted_; finished_++) {
    const Slot& s = slot(finished_);
    if (bad_ != FabricCode::kOk && finished_ == sending_) return fail(bad_);
    if (s.last_packet == 0 || s.last_packet >= una_) return;
    if (s.request.op == FabricOp::kGet && s.got != s.request.bytes) return;
  }
}

void EmulatedEndpoint::fail(FabricCode code) {
  state_.store(static_cast<uint64_t>(State::kError));
  for (; finished_ != posted_; finished_++) {
    slot(finished_).code = code;
    code = FabricCode::kCanceled;
  }
}

size_t EmulatedEndpoint::tell(std::span<FabricCompletion> out) {
  size_t n = 0;
  for (; told_ != finished_; told_++) {
    const Slot& s = slot(told_);
    if (!s.request.signalled && s.code == FabricCode::kOk) continue;
    if (n == out.size()) break;
    out[n++] = {s.request.id, number_, s.code};
    if (s.code > FabricCode::kCanceled) fabric_.stats_.errors.add(1);
  }
  return n;
}

}  // namespace penstock
