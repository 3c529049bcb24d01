#include "rdma/registration_cache.h"

#include <algorithm>
#include <cassert>
#include <unistd.h>

namespace penstock {
namespace {

constexpr uint64_t kPage = 4096;  // pieces end at pages

}  // namespace

RegistrationCache::RegistrationCache(Fabric& fabric, const Allocations& allocations,
                                     const Config& config)
    : fabric_(fabric), source_(allocations), config_(config), owner_(getpid()) {}

RegistrationCache::~RegistrationCache() {
  assert(forked() || used_.empty());
  while (evict()) {
  }
}

bool RegistrationCache::forked() const {
  return getpid() != owner_;
}

Result<const Registered*> RegistrationCache::acquire(const std::byte* at, uint64_t bytes) {
  if (forked()) return Errc::kClosed;
  const auto found = source_.find(at, bytes);
  if (!found.ok()) return found.error();
  const auto offset = static_cast<uint64_t>(at - found->base);
  if (at < found->base || offset > found->bytes || bytes > found->bytes - offset)
    return Errc::kNotFound;  // as if it had said so: it told of a part of the view only
  const auto known = by_base_.find(found->base);
  if (known == by_base_.end() || known->second->allocation_ != *found) {
    stats_.misses++;
    stats_.stale += invalidate(found->base, found->bytes);
    return add(*found);
  }
  stats_.hits++;
  Registered& r = *known->second;
  if (r.users_++ == 0) used_.splice(used_.end(), idle_, r.self_);
  return &r;
}

void RegistrationCache::release(const Registered* registered) {
  if (forked()) return;
  const auto self = registered->self_;
  assert(self->users_ != 0);
  if (--self->users_ != 0) return;
  if (self->stale_) {
    drop(used_, self);
  } else {
    idle_.splice(idle_.end(), used_, self);
  }
}

size_t RegistrationCache::invalidate(const std::byte* at, uint64_t bytes) {
  if (forked() || bytes == 0) return 0;
  auto i = by_base_.upper_bound(at);
  if (i != by_base_.begin()) i--;
  size_t n = 0;
  while (i != by_base_.end()) {
    stats_.steps++;
    const Allocation& a = i->second->allocation_;
    if (a.base >= at && static_cast<uint64_t>(a.base - at) >= bytes) break;
    if (a.base < at && static_cast<uint64_t>(at - a.base) >= a.bytes) {
      i++;
      continue;
    }
    const auto which = i->second;
    i = by_base_.erase(i);
    which->stale_ = true;
    if (which->users_ == 0) drop(idle_, which);
    n++;
  }
  return n;
}

Result<const Registered*> RegistrationCache::add(const Allocation& allocation) {
  if (allocation.bytes > config_.max_bytes) return Errc::kFull;
  while (bytes_ > config_.max_bytes - allocation.bytes || allocations() >= config_.max_allocations)
    if (!evict()) return Errc::kFull;
  used_.emplace_back();
  const auto self = std::prev(used_.end());
  self->self_ = self;
  self->allocation_ = allocation;
  Errc e = register_pieces(*self);
  while (e == Errc::kNoMemory && evict())
    e = register_pieces(*self);
  if (e != Errc::kOk) {
    used_.erase(self);
    return e;
  }
  self->users_ = 1;
  bytes_ += allocation.bytes;
  by_base_.emplace(allocation.base, self);
  return &*self;
}

// All pieces, or none.
Errc RegistrationCache::register_pieces(Registered& r) {
  const Allocation& a = r.allocation_;
  const uint64_t most = fabric_.limits().max_registration;
  r.piece_bytes_ = most >= a.bytes ? a.bytes : most - most % kPage;
  if (r.piece_bytes_ == 0) return Errc::kTooBig;
  for (uint64_t at = 0; at < a.bytes; at += r.piece_bytes_) {
    std::byte* base = a.base + at;
    const uint64_t bytes = std::min(r.piece_bytes_, a.bytes - at);
    const auto piece = config_.registrar != nullptr
                           ? config_.registrar->register_memory(base, bytes, config_.rights)
                           : fabric_.register_memory(base, bytes, config_.rights);
    if (!piece.ok()) {
      for (const Registration& p : r.pieces_)
        fabric_.deregister(p);
      stats_.deregistrations += r.pieces_.size();
      r.pieces_.clear();
      return piece.error();
    }
    r.pieces_.push_back(*piece);
    stats_.registrations++;
  }
  return Errc::kOk;
}

void RegistrationCache::drop(List& from, List::iterator which) {
  for (const Registration& p : which->pieces_)
    fabric_.deregister(p);
  stats_.deregistrations += which->pieces_.size();
  bytes_ -= which->allocation_.bytes;
  from.erase(which);
}

bool RegistrationCache::evict() {
  if (forked() || idle_.empty()) return false;
  stats_.steps++;
  stats_.evicted++;
  by_base_.erase(idle_.front().allocation_.base);
  drop(idle_, idle_.begin());
  return true;
}

}  // namespace penstock
