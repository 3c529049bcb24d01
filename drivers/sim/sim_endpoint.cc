#include "drivers/sim/sim_endpoint.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

constexpr uint32_t kMagic = 0x316d6973;  // "sim1"

struct Wire {
  uint32_t magic;
  uint32_t device;
  uint32_t number;
  uint32_t nonce;
};

}  // namespace

SimEndpoint::SimEndpoint(SimFabric& device, uint32_t number, uint32_t nonce)
    : device_(device),
      net_(device.net_),
      number_(number),
      nonce_(nonce),
      slots_(device.limits_.send_depth),
      order_(slots_.size()),
      due_(slots_.size()) {}

SimEndpoint::~SimEndpoint() {
  device_.forget(*this);
}

EndpointAddress SimEndpoint::address() const {
  const Wire w{kMagic, device_.index_, number_, nonce_};
  EndpointAddress out{};
  std::memcpy(out.data(), &w, sizeof w);
  return out;
}

Errc SimEndpoint::connect(const EndpointAddress& peer) {
  Wire w{};
  std::memcpy(&w, peer.data(), sizeof w);
  if (w.magic != kMagic || w.device >= net_.devices_.size()) return Errc::kInvalid;
  if (state_ != State::kNew) return Errc::kBusy;
  peer_device_ = w.device;
  peer_number_ = w.number;
  peer_nonce_ = w.nonce;
  state_ = State::kReady;
  return Errc::kOk;
}

// The other side, if it is there and can hear this one.
SimEndpoint* SimEndpoint::peer() const {
  const SimFabric& there = *net_.devices_[peer_device_];
  if (!device_.alive() || !there.alive()) return nullptr;
  SimEndpoint* p = there.find(peer_number_);
  const bool joined = p != nullptr && p->state_ == State::kReady && p->nonce_ == peer_nonce_ &&
                      p->peer_device_ == device_.index_ && p->peer_number_ == number_ &&
                      p->peer_nonce_ == nonce_;
  return joined ? p : nullptr;
}

void SimEndpoint::stop() {
  if (state_ == State::kError) return;
  net_.note(number_ << 8 | 0xee);
  fail(FabricCode::kCanceled);
}

size_t SimEndpoint::post(std::span<const FabricRequest> in) {
  if (state_ == State::kNew || device_.dead_) return 0;
  const size_t n = std::min<size_t>(in.size(), slots_.size() - (posted_ - freed_));
  for (const FabricRequest& r : in.first(n))
    take(r);
  if (n != 0) {
    device_.stats_.requests.add(n);
    device_.stats_.doorbells.add(1);
    if (state_ == State::kError) fail(FabricCode::kCanceled);
    schedule();
  }
  return n;
}

void SimEndpoint::take(const FabricRequest& r) {
  assert(r.bytes <= device_.limits_.max_message);
  assert(!r.inlined || (r.bytes <= device_.limits_.max_inline && r.op <= FabricOp::kPutImmediate));
  Slot& s = slot(posted_);
  s.request = r;
  s.landed = false;
  if (r.inlined && r.bytes != 0) std::memcpy(s.inlined.data(), r.local, r.bytes);
  const SimFabricFaults& f = device_.faults;
  uint64_t due = net_.now_ + f.delay_ns;
  if (f.jitter_ns != 0) due += device_.random() % f.jitter_ns;
  if (f.late != 0 && device_.chance(f.late)) due += f.late_ns;
  if (device_.config_.gbps != 0) {
    constexpr uint64_t kMore = 82;  // headers of RoCE v2 and what Ethernet adds, for each packet
    const uint64_t bytes = r.bytes + kMore * (r.bytes / 4096 + 1);
    device_.cable_free_ =
        std::max(device_.cable_free_, net_.now_) + bytes * 8 / device_.config_.gbps;
    due = std::max(due, device_.cable_free_ + f.delay_ns);
  }
  last_due_ = std::max(last_due_, due);
  const size_t at = posted_ % slots_.size();
  due_[at] = last_due_;
  order_[at] = posted_;
  // A flush comes behind all before it: nothing changes places with it.
  if (f.swapped != 0 && posted_ - landed_ > 1 && waiting_since_ == kNever &&
      r.op != FabricOp::kFlush && device_.chance(f.swapped)) {
    uint64_t& before = order_[(posted_ - 1) % slots_.size()];
    if (slot(before).request.op != FabricOp::kFlush) std::swap(order_[at], before);
  }
  posted_++;
}

void SimEndpoint::schedule() {
  next_ = kNever;
  if (state_ != State::kReady || device_.dead_) return;
  if (landed_ != posted_) next_ = due_[landed_ % slots_.size()];
  if (finished_ != posted_ && slot(finished_).landed)
    next_ = std::min(next_, slot(finished_).answered_at);
}

void SimEndpoint::run(uint64_t now) {
  if (finished_ != posted_ && slot(finished_).landed && slot(finished_).answered_at <= now) {
    finish(FabricCode::kOk);
  } else if (landed_ != posted_ && due_[landed_ % slots_.size()] <= now) {
    land(now);
  }
  schedule();
}

void SimEndpoint::land(uint64_t now) {
  Slot& s = slot(order_[landed_ % slots_.size()]);
  FabricCode why = FabricCode::kOk;
  switch (attempt(s, now, why)) {
    case Fate::kDone:
      s.landed = true;
      s.answered_at = now + device_.faults.delay_ns;
      waiting_since_ = kNever;
      landed_++;
      break;
    case Fate::kWait:
      break;
    case Fate::kFailed:
      fail(why);
      break;
  }
}

SimEndpoint::Fate SimEndpoint::wait(uint64_t now, uint64_t limit, FabricCode& why,
                                    FabricCode in_the_end) {
  if (waiting_since_ == kNever) waiting_since_ = now;
  if (now - waiting_since_ >= limit) {
    why = in_the_end;
    return Fate::kFailed;
  }
  // All behind it wait, too.
  const uint64_t again =
      std::min(now + device_.faults.try_again_ns, waiting_since_ + std::max<uint64_t>(limit, 1));
  for (uint64_t n = landed_; n != posted_; n++)
    due_[n % slots_.size()] = std::max(due_[n % slots_.size()], again);
  last_due_ = std::max(last_due_, again);
  return Fate::kWait;
}

SimEndpoint::Fate SimEndpoint::attempt(Slot& s, uint64_t now, FabricCode& why) {
  const FabricRequest& r = s.request;
  const SimFabricFaults& f = device_.faults;
  if (!device_.local_ok(r)) {
    why = FabricCode::kLocalAccess;
    return Fate::kFailed;
  }
  SimEndpoint* to = peer();
  if (to == nullptr) return wait(now, f.timeout_ns, why, FabricCode::kTimeout);
  if (r.op == FabricOp::kPutImmediate && to->device_.receives() == 0) {
    if (waiting_since_ == kNever) to->device_.stats_.receiver_not_ready.add(1);
    return wait(now, f.not_ready_ns, why, FabricCode::kReceiverNotReady);
  }
  uint64_t arrives = r.bytes;
  bool whole = true;
  if (device_.broken_next_ != FabricCode::kOk) {
    why = std::exchange(device_.broken_next_, FabricCode::kOk);
    whole = device_.broken_arrives_;
    arrives = whole ? r.bytes : 0;
  } else if (f.broken != 0 && device_.chance(f.broken)) {
    why = device_.chance(500'000) ? FabricCode::kTimeout : FabricCode::kDevice;
    whole = device_.chance(500'000);
    arrives = whole ? r.bytes : device_.random() % (uint64_t{r.bytes} + 1);
  }
  const FabricCode moved = move(s, *to, arrives);
  if (moved == FabricCode::kOk && whole && r.op == FabricOp::kPutImmediate)
    to->device_.immediates_.push({to->number_, r.immediate, r.bytes});
  if (moved == FabricCode::kRemoteAccess) {
    to->fail(FabricCode::kCanceled);
    to->device_.event(FabricEventKind::kEndpointError, to->number_);
  }
  if (moved != FabricCode::kOk) why = moved;
  net_.note(number_ ^ now);
  net_.note(r.id << 8 | static_cast<uint64_t>(why));
  return why == FabricCode::kOk ? Fate::kDone : Fate::kFailed;
}

// The bytes of a request, or the first of them.
FabricCode SimEndpoint::move(Slot& s, SimEndpoint& to, uint64_t bytes) {
  const FabricRequest& r = s.request;
  const bool put = r.op <= FabricOp::kPutImmediate;
  const uint64_t asked = r.op == FabricOp::kFlush ? 1 : r.bytes;
  if (asked == 0) return FabricCode::kOk;
  std::byte* there =
      to.device_.remote(r.remote_key, r.remote_address, asked, put ? kRemotePut : kRemoteGet);
  if (there == nullptr) return FabricCode::kRemoteAccess;
  if (r.op == FabricOp::kFlush || bytes == 0) return FabricCode::kOk;
  if (put) {
    std::memcpy(there, r.inlined ? s.inlined.data() : r.local, bytes);
  } else {
    std::memcpy(r.local, there, bytes);
  }
  return FabricCode::kOk;
}

// The oldest request is through.
void SimEndpoint::finish(FabricCode code) {
  const Slot& s = slot(finished_);
  finished_++;
  if (s.request.signalled || code != FabricCode::kOk)
    device_.complete({s.request.id, number_, code}, finished_);
}

// The first that has not arrived gets the code, all behind it are canceled; those before it were
// answered in time.
void SimEndpoint::fail(FabricCode code) {
  state_ = State::kError;
  while (finished_ != posted_ && slot(finished_).landed && code != FabricCode::kCanceled)
    finish(FabricCode::kOk);
  while (finished_ != posted_) {
    finish(code);
    code = FabricCode::kCanceled;
  }
  landed_ = posted_;
  waiting_since_ = kNever;
  schedule();
}

}  // namespace penstock
