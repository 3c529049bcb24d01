#include "drivers/sim/sim_fabric.h"

#include <algorithm>
#include <cassert>
#include <sys/stat.h>
#include <utility>

#include "drivers/sim/sim_endpoint.h"

namespace penstock {
namespace {

// A key is the place of the memory in the table and its life there; the remote one looks different,
// so that who mixes them up is refused.
constexpr uint32_t kPlaceBits = 16;
constexpr uint32_t kRemoteTwist = 0x5bd1e995;

uint32_t place_of(uint32_t key) {
  return key & ((1u << kPlaceBits) - 1);
}
uint32_t life_of(uint32_t key) {
  return key >> kPlaceBits;
}
uint32_t joined(uint32_t life, uint32_t place) {
  return life << kPlaceBits | place;
}

}  // namespace

SimFabric& SimFabricNet::add(const SimFabricConfig& config) {
  const auto i = static_cast<uint32_t>(devices_.size());
  devices_.push_back(
      std::make_unique<SimFabric>(*this, i, seed_ * 0x9e3779b97f4a7c15 + i + 1, config));
  return *devices_.back();
}

void SimFabricNet::advance(uint64_t now) {
  for (;;) {
    SimEndpoint* first = nullptr;
    uint64_t until = now;  // when another one has something to do
    for (SimEndpoint* e : endpoints_) {
      if (first == nullptr || e->next() < first->next()) {
        if (first != nullptr) until = std::min(until, first->next());
        first = e;
      } else {
        until = std::min(until, e->next());
      }
    }
    if (first == nullptr || first->next() > now) break;
    do {
      now_ = std::max(now_, first->next());
      first->run(now_);
    } while (first->next() <= until);
  }
  now_ = std::max(now_, now);
}

uint64_t SimFabricNet::next_event() const {
  uint64_t next = ~uint64_t{0};
  for (const SimEndpoint* e : endpoints_)
    next = std::min(next, e->next());
  return next;
}

SimFabric::SimFabric(SimFabricNet& net, uint32_t index, uint64_t seed,
                     const SimFabricConfig& config)
    : faults(config.faults),
      net_(net),
      index_(index),
      random_(seed | 1),
      config_(config),
      memory_(config.max_registrations),
      free_memory_(config.max_registrations),
      endpoints_(config.max_endpoints),
      lives_(config.max_endpoints),
      completions_(size_t{config.max_endpoints} * config.send_depth),
      immediates_(config.receive_depth),
      events_(size_t{4} * config.max_endpoints + 64) {
  assert(config.max_registrations <= 1u << kPlaceBits && config.max_endpoints <= 1u << kPlaceBits);
  limits_ = {.capabilities = kFabricZeroCopy | (config.dma_bufs ? uint32_t{kFabricGpu} : 0),
             .max_inline = config.max_inline,
             .max_message = config.max_message,
             .send_depth = config.send_depth,
             .receive_depth = config.receive_depth,
             .max_endpoints = config.max_endpoints,
             .max_registration = config.max_registration,
             .gbps = config.gbps};
  for (uint32_t i = 0; i < config.max_registrations; i++)
    free_memory_.push(i);
}

SimFabric::~SimFabric() = default;

uint64_t SimFabric::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ * 0x2545f4914f6cdd1d >> 16;
}

Result<Registration> SimFabric::register_memory(std::byte* base, uint64_t bytes, uint32_t rights) {
  if (base == nullptr || bytes == 0) return Errc::kInvalid;
  if (dead_) return Errc::kClosed;
  if (bytes > config_.max_registration) return Errc::kTooBig;
  if (free_memory_.size() == 0 || bytes > config_.max_registered - registered_bytes_)
    return Errc::kNoMemory;
  const uint32_t place = free_memory_.front();
  free_memory_.pop();
  Memory& m = memory_[place];
  // Peers tell each other of it, so it is made of the seed, whatever the heap gave; as well
  // aligned.
  const uint64_t address =
      (random() << 16 & 0x7fff'ffff'f000) | (reinterpret_cast<uintptr_t>(base) & 7);
  m = {base, bytes, address, rights, m.generation, true};
  registered_++;
  registered_bytes_ += bytes;
  const uint32_t key = joined(m.generation, place);
  return Registration{base, bytes, key, key ^ kRemoteTwist, address, &m};
}

// The bytes themselves are moved where the program sees them.
Result<Registration> SimFabric::register_dma_buf(int fd, uint64_t offset, std::byte* base,
                                                 uint64_t bytes, uint32_t rights) {
  struct stat file {};
  if (!config_.dma_bufs || fstat(fd, &file) != 0) return Errc::kInvalid;
  const auto size = static_cast<uint64_t>(file.st_size);
  if (offset > size || bytes > size - offset) return Errc::kInvalid;
  return register_memory(base, bytes, rights);
}

void SimFabric::deregister(const Registration& registration) {
  auto& m = *static_cast<Memory*>(registration.handle);
  const auto place = static_cast<uint32_t>(&m - memory_.data());
  assert(m.live && registration.local_key == joined(m.generation, place));
  m.live = false;
  m.generation = (m.generation + 1) & 0xffff;
  registered_--;
  registered_bytes_ -= m.bytes;
  free_memory_.push(place);
}

std::byte* SimFabric::remote(uint32_t key, uint64_t address, uint64_t bytes, uint32_t right) const {
  const uint32_t k = key ^ kRemoteTwist;
  if (place_of(k) >= memory_.size()) return nullptr;
  const Memory& m = memory_[place_of(k)];
  if (!m.live || m.generation != life_of(k) || (m.rights & right) == 0) return nullptr;
  const uint64_t offset = address - m.address;
  if (offset > m.bytes || bytes > m.bytes - offset) return nullptr;
  return m.base + offset;
}

bool SimFabric::local_ok(const FabricRequest& r) {
  if (r.inlined || r.bytes == 0 || r.op == FabricOp::kFlush) return true;
  if (place_of(r.local_key) >= memory_.size()) return false;
  const Memory& m = memory_[place_of(r.local_key)];
  if (!m.live || m.generation != life_of(r.local_key)) {
    if (life_of(r.local_key) != 0 && life_of(r.local_key) < m.generation)
      used_after_deregistration_++;
    return false;
  }
  const auto offset = static_cast<uint64_t>(r.local - m.base);
  return r.local >= m.base && offset <= m.bytes && r.bytes <= m.bytes - offset;
}

Result<std::unique_ptr<Endpoint>> SimFabric::create_endpoint() {
  if (dead_) return Errc::kClosed;
  const auto free = std::ranges::find(endpoints_, nullptr);
  if (free == endpoints_.end()) return Errc::kFull;
  const auto place = static_cast<uint32_t>(free - endpoints_.begin());
  auto e = std::make_unique<SimEndpoint>(*this, joined(++lives_[place], place),
                                         static_cast<uint32_t>(random()));
  *free = e.get();
  net_.endpoints_.push_back(e.get());
  return std::unique_ptr<Endpoint>(std::move(e));
}

SimEndpoint* SimFabric::find(uint32_t number) const {
  if (place_of(number) >= endpoints_.size()) return nullptr;
  SimEndpoint* e = endpoints_[place_of(number)];
  return e != nullptr && e->number() == number ? e : nullptr;
}

// Its completions go with it, so that they always have room; its immediates still come.
void SimFabric::forget(SimEndpoint& endpoint) {
  endpoints_[place_of(endpoint.number())] = nullptr;
  std::erase(net_.endpoints_, &endpoint);
  size_t kept = 0;
  for (size_t i = 0; i < completions_.size(); i++)
    if (completions_[i].completion.endpoint != endpoint.number())
      completions_[kept++] = completions_[i];
  completions_.cut(kept);
}

void SimFabric::complete(const FabricCompletion& completion, uint64_t frees) {
  assert(!completions_.full());
  net_.note(completion.id ^ static_cast<uint64_t>(completion.code) << 56);
  completions_.push({completion, frees});
}

SimFabric::Polled SimFabric::poll(std::span<FabricCompletion> completions,
                                  std::span<FabricImmediate> immediates) {
  Polled n;
  if (dead_) return n;
  while (n.completions < completions.size() && completions_.size() != 0) {
    const Answer& a = completions_.front();
    completions[n.completions++] = a.completion;
    find(a.completion.endpoint)->freed_ = a.frees;
    if (a.completion.code > FabricCode::kCanceled) stats_.errors.add(1);
    completions_.pop();
  }
  for (; n.immediates < immediates.size() && immediates_.size() != 0; immediates_.pop())
    immediates[n.immediates++] = immediates_.front();
  stats_.completions.add(n.completions);
  stats_.immediates.add(n.immediates);
  return n;
}

void SimFabric::event(FabricEventKind kind, uint32_t endpoint) {
  if (!events_.full()) events_.push({kind, endpoint});
}

size_t SimFabric::events(std::span<FabricEvent> out) {
  size_t n = 0;
  for (; n < out.size() && events_.size() != 0; events_.pop())
    out[n++] = events_.front();
  return n;
}

void SimFabric::set_port(bool up) {
  if (up == port_up_) return;
  port_up_ = up;
  event(up ? FabricEventKind::kPortUp : FabricEventKind::kPortDown, 0);
}

void SimFabric::die() {
  if (dead_) return;
  dead_ = true;
  event(FabricEventKind::kDeviceFatal, 0);
  for (SimEndpoint* e : endpoints_)
    if (e != nullptr) e->schedule();
}

void SimFabric::break_next(FabricCode code, bool arrives) {
  broken_next_ = code;
  broken_arrives_ = arrives;
}

}  // namespace penstock
