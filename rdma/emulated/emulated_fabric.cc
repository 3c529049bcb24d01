#include "rdma/emulated/emulated_fabric.h"

#include <algorithm>
#include <cassert>
#include <sched.h>
#include <sys/random.h>

#include "rdma/emulated/emulated_endpoint.h"

namespace penstock {
namespace {

constexpr size_t kBurstsATurn = 8;

}  // namespace

EmulatedFabric::EmulatedFabric(Carrier& carrier, const EmulatedFabricConfig& config)
    : carrier_(carrier),
      config_(config),
      piece_((carrier.max_frame() - static_cast<uint32_t>(kEmulatedHeader)) & ~63u),
      memory_(config.max_registrations),
      random_(config.seed),
      immediates_(config.receive_depth) {
  assert(carrier.max_frame() >= kEmulatedHeader + 64);
  limits_ = {.capabilities = 0,
             .max_inline = kMostInline,
             .max_message = 1u << 30,
             .send_depth = config.send_depth,
             .receive_depth = config.receive_depth,
             .max_endpoints = std::min(kEndpoints, carrier.max_routes()),
             .max_registration = uint64_t{1} << 46};
  up_.store(carrier_.up() ? 1 : 0);
}

EmulatedFabric::~EmulatedFabric() = default;

EmulatedEndpoint* EmulatedFabric::endpoint(uint32_t place) const {
  return place < kEndpoints ? reinterpret_cast<EmulatedEndpoint*>(endpoints_[place].load())
                            : nullptr;
}

Result<Registration> EmulatedFabric::register_memory(std::byte* base, uint64_t bytes,
                                                     uint32_t rights) {
  if (bytes > limits_.max_registration) return Errc::kTooBig;
  return memory_.add(base, bytes, rights);
}

void EmulatedFabric::deregister(const Registration& registration) {
  memory_.remove(registration);
  worker_is_out();
}

void EmulatedFabric::worker_is_out() {
  const uint64_t seen = visit_.departure();
  while (!visit_.passed(seen))
    sched_yield();
}

Result<uint32_t> EmulatedFabric::nonce() {
  uint32_t n = 0;
  if (config_.seed == 0)
    return getrandom(&n, sizeof n, 0) == static_cast<ssize_t>(sizeof n) ? Result<uint32_t>(n)
                                                                        : Errc::kSystem;
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(random_ >> 32);
}

Result<std::unique_ptr<Endpoint>> EmulatedFabric::create_endpoint() {
  const auto free =
      std::ranges::find_if(endpoints_, [](const SharedWord& e) { return e.load_relaxed() == 0; });
  const auto place = static_cast<uint32_t>(free - endpoints_.begin());
  if (place >= limits_.max_endpoints) return Errc::kFull;
  const auto secret = nonce();
  if (!secret.ok()) return secret.error();
  lives_[place] = (lives_[place] + 1) & 0xffff;
  auto e = std::make_unique<EmulatedEndpoint>(*this, lives_[place] << 16 | place, *secret);
  free->store(reinterpret_cast<uintptr_t>(e.get()));
  endpoints_end_.store(std::max<uint64_t>(endpoints_end_.load_relaxed(), place + 1));
  return std::unique_ptr<Endpoint>(std::move(e));
}

void EmulatedFabric::forget(EmulatedEndpoint& e) {
  endpoints_[place_of(e.number())].store(0);
  worker_is_out();
}

CarrierFrame* EmulatedFabric::frame() {
  if (out_used_ == out_.size()) {
    if (!out_.empty()) carrier_.send();
    out_ = carrier_.alloc();
    out_used_ = 0;
    if (out_.empty()) return nullptr;
  }
  return &out_[out_used_];
}

bool EmulatedFabric::push_immediate(const FabricImmediate& immediate) {
  if (immediates_tail_ - immediates_head_ == immediates_.size()) return false;
  immediates_[immediates_tail_++ % immediates_.size()] = immediate;
  return true;
}

// More than anybody asks for in time: what is lost then is the news, not the state.
void EmulatedFabric::event(FabricEventKind kind, uint32_t endpoint) {
  const FabricEvent e{kind, endpoint};
  (void)events_.push({&e, 1});
}

void EmulatedFabric::look_at_port() {
  const uint64_t up = carrier_.up() ? 1 : 0;
  if (up == up_.load_relaxed()) return;
  up_.store(up);
  event(up != 0 ? FabricEventKind::kPortUp : FabricEventKind::kPortDown, 0);
}

void EmulatedFabric::receive(uint64_t now) {
  for (size_t burst = 0; burst < kBurstsATurn; burst++) {
    const auto frames = carrier_.receive();
    if (frames.empty()) return;
    for (const auto& bytes : frames) {
      frames_.received.add(1);
      const auto f = parse_emulated(bytes);
      if (!f) {
        frames_.malformed.add(1);
        continue;
      }
      EmulatedEndpoint* e = endpoint(place_of(f->to));
      if (e == nullptr || e->number() != f->to || e->nonce_ != f->nonce) {
        frames_.unknown.add(1);
        continue;
      }
      e->take(*f, now);
    }
    carrier_.release();
  }
}

// What came first, so that acknowledgements go with what is sent, and room is found for it.
Fabric::Polled EmulatedFabric::poll(std::span<FabricCompletion> completions,
                                    std::span<FabricImmediate> immediates) {
  Polled n;
  visit_.enter();
  const uint64_t now = carrier_.now();
  look_at_port();
  receive(now);
  const auto end = static_cast<uint32_t>(endpoints_end_.load());
  for (uint32_t i = 0; i < end; i++) {
    EmulatedEndpoint* e = endpoint((turn_ + i) % end);
    if (e == nullptr) continue;
    e->turn(now);
    n.completions += e->tell(completions.subspan(n.completions));
  }
  turn_++;
  if (!out_.empty()) carrier_.send();
  out_ = {};
  out_used_ = 0;
  for (; n.immediates < immediates.size() && immediates_head_ != immediates_tail_;
       immediates_head_++)
    immediates[n.immediates++] = immediates_[immediates_head_ % immediates_.size()];
  visit_.leave();
  stats_.completions.add(n.completions);
  stats_.immediates.add(n.immediates);
  return n;
}

}  // namespace penstock
