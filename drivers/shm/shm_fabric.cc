#include "drivers/shm/shm_fabric.h"

#include <algorithm>
#include <cassert>
#include <new>
#include <sched.h>
#include <sys/random.h>

#include "dataplane/base/clock.h"
#include "drivers/shm/shm_endpoint.h"

namespace penstock {

ShmFabric::ShmFabric(const ShmFabricConfig& config) : config_(config) {
  limits_ = {.capabilities = kFabricOrdered,
             .max_inline = kMostInline,
             .max_message = 1u << 30,
             .send_depth = config.send_depth,
             .receive_depth = config.receive_depth,
             .max_endpoints = kShmEndpoints,
             .max_registration = uint64_t{1} << 46};
}

ShmFabric::~ShmFabric() = default;

ShmEndpoint* ShmFabric::endpoint(uint32_t place) const {
  return reinterpret_cast<ShmEndpoint*>(endpoints_[place].load());
}

Result<Registration> ShmFabric::register_memory(std::byte* base, uint64_t bytes, uint32_t rights) {
  if (base == nullptr || bytes == 0) return Errc::kInvalid;
  if (fatal_) return Errc::kClosed;
  if (bytes > limits_.max_registration) return Errc::kTooBig;
  uint32_t number = 0;
  const bool for_peers = (rights & (kRemotePut | kRemoteGet)) != 0;
  if (for_peers) {
    const auto holds = [&](const Segment& s) {
      return s.base != nullptr && base >= s.base &&
             static_cast<uint64_t>(base - s.base) <= s.bytes &&
             bytes <= s.bytes - static_cast<uint64_t>(base - s.base);
    };
    const auto found = std::ranges::find_if(segments_, holds);
    if (found == segments_.end()) return Errc::kDenied;
    if ((rights & kRemotePut) != 0 && found->access != Access::kReadWrite) return Errc::kDenied;
    number = static_cast<uint32_t>(found - segments_.begin());
  }
  auto made = memory_.add(base, bytes, rights);
  if (!made.ok() || !for_peers) return made;
  Segment& s = segments_[number];
  ShmRegion& r = table_->regions[MemoryTable::place_of(made->remote_key)];
  r.offset.set(static_cast<uint64_t>(base - s.base));
  r.bytes.set(bytes);
  r.segment.set(number);
  r.rights.set(rights);
  r.life.store(MemoryTable::life_of(made->remote_key));
  if (!s.shared) {
    s.shared = true;
    tell_all();
  }
  return made;
}

void ShmFabric::deregister(const Registration& registration) {
  table_->regions[MemoryTable::place_of(registration.remote_key)].life.store(0);
  see_writers_out();
  memory_.remove(registration);
  const uint64_t seen = visit_.departure();
  while (!visit_.passed(seen))
    sched_yield();
}

Result<std::unique_ptr<Endpoint>> ShmFabric::create_endpoint() {
  if (fatal_) return Errc::kClosed;
  const auto free =
      std::ranges::find_if(endpoints_, [](const SharedWord& e) { return e.load_relaxed() == 0; });
  if (free == endpoints_.end()) return Errc::kFull;
  uint32_t nonce = 0;
  if (getrandom(&nonce, sizeof nonce, 0) != static_cast<ssize_t>(sizeof nonce))
    return Errc::kSystem;
  const auto place = static_cast<uint32_t>(free - endpoints_.begin());
  lives_[place] = (lives_[place] + 1) & 0xffff;
  auto e = std::make_unique<ShmEndpoint>(*this, lives_[place] << 16 | place, nonce);
  free->store(reinterpret_cast<uintptr_t>(e.get()));
  endpoints_end_.store(std::max<uint64_t>(endpoints_end_.load_relaxed(), place + 1));
  return std::unique_ptr<Endpoint>(std::move(e));
}

void ShmFabric::forget(ShmEndpoint& e) {
  endpoints_[place_of(e.number())].store(0);
  const uint64_t seen = visit_.departure();
  while (!visit_.passed(seen))
    sched_yield();
  if (e.way_ == nullptr) return;
  e.way_->users--;
  std::erase_if(ways_out_, [](const auto& w) {
    return w->users == 0 && w->state() == ShmWayOut::State::kDead;
  });
}

void ShmFabric::see_writers_out() {
  const uint64_t end = Clock::raw_ns() + config_.patience_ns;
  for (ShmWayIn& way : ways_in_) {
    const ShmWayIn::State state = way.state();
    if (state == ShmWayIn::State::kFree || fatal_) continue;
    const uint64_t seen = way.departure();
    // One that was killed there does not write any more.
    while (!way.passed(seen) && !shm_hung_up(way.socket())) {
      if (Clock::raw_ns() > end) {
        fatal_ = true;
        break;
      }
      sched_yield();
    }
  }
}

Fabric::Polled ShmFabric::poll(std::span<FabricCompletion> completions,
                               std::span<FabricImmediate> immediates) {
  Polled n;
  visit_.enter();
  const auto end = static_cast<uint32_t>(endpoints_end_.load());
  for (uint32_t i = 0; i < end; i++) {
    ShmEndpoint* e = endpoint((turn_ + i) % end);
    if (e == nullptr) continue;
    e->move(kTurnBytes);
    n.completions += e->tell(completions.subspan(n.completions));
  }
  for (uint32_t i = 0; i < kWays; i++)
    n.immediates +=
        take_immediates(ways_in_[(turn_ + i) % kWays], immediates.subspan(n.immediates));
  turn_++;
  visit_.leave();
  stats_.completions.add(n.completions);
  stats_.immediates.add(n.immediates);
  return n;
}

// What comes by a name that was not given to a peer, or is known no more, is dropped.
size_t ShmFabric::take_immediates(ShmWayIn& way, std::span<FabricImmediate> out) {
  size_t n = 0;
  size_t taken = 0;
  uint64_t name = 0;
  FabricImmediate one;
  for (; n < out.size() && way.pop(name, one); taken++) {
    one.endpoint = static_cast<uint32_t>(name);
    const uint32_t place = place_of(one.endpoint);
    const ShmEndpoint* e = place < kShmEndpoints ? endpoint(place) : nullptr;
    if (e != nullptr && e->name() == name) out[n++] = one;
  }
  if (taken != 0) way.give_back();
  return n;
}

size_t ShmFabric::events(std::span<FabricEvent> out) {
  serve();
  if (!fatal_ || fatal_told_ || out.empty()) return 0;
  fatal_told_ = true;
  out[0] = {FabricEventKind::kDeviceFatal, 0};
  return 1;
}

}  // namespace penstock
