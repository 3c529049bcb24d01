#include "drivers/shm/shm_endpoint.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "dataplane/base/clock.h"

namespace penstock {
namespace {

constexpr uint64_t kRequestCost = 64;  // in bytes of the budget: also an empty one takes time

struct Wire {
  uint64_t magic;
  uint64_t device;
  uint32_t number;
  uint32_t nonce;
};
static_assert(sizeof(Wire) <= sizeof(EndpointAddress));

}  // namespace

ShmEndpoint::ShmEndpoint(ShmFabric& fabric, uint32_t number, uint32_t nonce)
    : fabric_(fabric), number_(number), nonce_(nonce), slots_(fabric.limits_.send_depth) {
  entry().gate.store(static_cast<uint64_t>(ShmGate::kNew));
  entry().name.store(name());
}

ShmEndpoint::~ShmEndpoint() {
  stop();
  entry().name.store(0);
  fabric_.forget(*this);
}

ShmEntry& ShmEndpoint::entry() const {
  return fabric_.table_->endpoints[ShmFabric::place_of(number_)];
}

EndpointAddress ShmEndpoint::address() const {
  const Wire w{kShmMagic, fabric_.device_, number_, nonce_};
  EndpointAddress out{};
  std::memcpy(out.data(), &w, sizeof w);
  return out;
}

Errc ShmEndpoint::connect(const EndpointAddress& peer) {
  Wire w{};
  std::memcpy(&w, peer.data(), sizeof w);
  if (w.magic != kShmMagic || ShmFabric::place_of(w.number) >= kShmEndpoints) return Errc::kInvalid;
  if (state() != State::kNew) return Errc::kBusy;
  const auto way = fabric_.way_to(w.device);
  if (!way.ok()) return way.error();
  way_ = *way;
  way_->users++;
  peer_ = shm_name(w.nonce, w.number);
  entry().peer.set(peer_);
  entry().peer_device.set(w.device);
  entry().gate.store(static_cast<uint64_t>(ShmGate::kOpen));
  state_.store(static_cast<uint64_t>(State::kReady));
  return Errc::kOk;
}

void ShmEndpoint::stop() {
  state_.store(static_cast<uint64_t>(State::kError));
  entry().gate.store(static_cast<uint64_t>(ShmGate::kShut));
  fabric_.see_writers_out();
}

size_t ShmEndpoint::post(std::span<const FabricRequest> in) {
  if (way_ == nullptr) return 0;
  const size_t n = std::min<size_t>(in.size(), slots_.size() - (posted_ - told_));
  for (const FabricRequest& r : in.first(n)) {
    assert(r.bytes <= fabric_.limits_.max_message);
    Slot& s = slot(posted_++);
    s.request = r;
    s.code = FabricCode::kOk;
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

void ShmEndpoint::move(uint64_t budget) {
  if (moved_ == posted_) return;
  if (state() == State::kError) return fail(FabricCode::kCanceled);
  switch (way_->state()) {
    case ShmWayOut::State::kOpening: {
      FabricCode why = FabricCode::kOk;
      if (wait(why) == Fate::kFailed) fail(why);
      return;
    }
    case ShmWayOut::State::kDead:
      return fail(FabricCode::kTimeout);
    case ShmWayOut::State::kOpen:
      break;
  }
  way_->enter();
  move_all(budget);
  way_->leave();
}

void ShmEndpoint::move_all(uint64_t budget) {
  while (moved_ != posted_ && budget != 0) {
    FabricCode why = FabricCode::kOk;
    switch (attempt(slot(moved_), budget, why)) {
      case Fate::kDone:
        moved_++;
        part_ = 0;
        waiting_since_ns_ = 0;
        break;
      case Fate::kMore:
        waiting_since_ns_ = 0;
        break;
      case Fate::kWait:
        return;
      case Fate::kFailed:
        return fail(why);
    }
  }
}

// The peer may not have connected yet; it is waited for as long as a timeout takes.
ShmEndpoint::Fate ShmEndpoint::wait(FabricCode& why) {
  const uint64_t now = Clock::raw_ns();
  if (waiting_since_ns_ == 0) waiting_since_ns_ = now;
  if (now - waiting_since_ns_ < fabric_.config_.timeout_ns) return Fate::kWait;
  why = FabricCode::kTimeout;
  return Fate::kFailed;
}

ShmEndpoint::Fate ShmEndpoint::peer_is_there(FabricCode& why) {
  const ShmEntry& e = way_->entry(ShmFabric::place_of(static_cast<uint32_t>(peer_)));
  why = FabricCode::kTimeout;
  if (e.name.load() != peer_) return Fate::kFailed;
  const auto gate = static_cast<ShmGate>(e.gate.load());
  if (gate == ShmGate::kNew) return wait(why);
  if (gate != ShmGate::kOpen) return Fate::kFailed;
  if (e.peer.get() != name() || e.peer_device.get() != fabric_.device_) return Fate::kFailed;
  return Fate::kDone;
}

ShmEndpoint::Fate ShmEndpoint::attempt(Slot& s, uint64_t& budget, FabricCode& why) {
  const FabricRequest& r = s.request;
  const bool put = r.op <= FabricOp::kPutImmediate;
  const bool flush = r.op == FabricOp::kFlush;
  if (!fabric_.memory_.local(r)) {
    why = FabricCode::kLocalAccess;
    return Fate::kFailed;
  }
  if (const Fate f = peer_is_there(why); f != Fate::kDone) return f;
  std::byte* there = nullptr;
  if (const uint64_t asked = flush ? 1 : r.bytes; asked != 0) {
    switch (
        way_->find(r.remote_key, r.remote_address, asked, put ? kRemotePut : kRemoteGet, there)) {
      case ShmWayOut::Found::kYes:
        break;
      case ShmWayOut::Found::kNotYet:
        return wait(why);
      case ShmWayOut::Found::kRefused:
        why = FabricCode::kRemoteAccess;
        return Fate::kFailed;
    }
  }
  if (there != nullptr && !flush) {
    const auto n = static_cast<uint32_t>(std::min<uint64_t>(r.bytes - part_, budget));
    const std::byte* source = r.inlined ? s.inlined.data() : r.local;
    if (put) {
      std::memcpy(there + part_, source + part_, n);
    } else {
      std::memcpy(r.local + part_, there + part_, n);
    }
    part_ += n;
    budget -= n;
    if (part_ != r.bytes) return Fate::kMore;
  }
  budget -= std::min(budget, kRequestCost);
  if (r.op == FabricOp::kPutImmediate && !way_->push(peer_, r.immediate, r.bytes)) {
    fabric_.stats_.receiver_not_ready.add(1);
    why = FabricCode::kReceiverNotReady;
    return Fate::kFailed;
  }
  return Fate::kDone;
}

// The first that has not gone gets the code, all behind it are canceled.
void ShmEndpoint::fail(FabricCode code) {
  state_.store(static_cast<uint64_t>(State::kError));
  entry().gate.store(static_cast<uint64_t>(ShmGate::kShut));
  part_ = 0;
  for (; moved_ != posted_; moved_++) {
    slot(moved_).code = code;
    code = FabricCode::kCanceled;
  }
}

size_t ShmEndpoint::tell(std::span<FabricCompletion> out) {
  size_t n = 0;
  for (; told_ != moved_; told_++) {
    const Slot& s = slot(told_);
    if (!s.request.signalled && s.code == FabricCode::kOk) continue;
    if (n == out.size()) break;
    out[n++] = {s.request.id, number_, s.code};
    if (s.code > FabricCode::kCanceled) fabric_.stats_.errors.add(1);
  }
  return n;
}

}  // namespace penstock
