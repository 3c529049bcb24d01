#include "rdma/memory_table.h"

#include <cassert>

namespace penstock {
namespace {

constexpr uint32_t kPlaceBits = 16;
// The remote key looks different, so that who mixes the two up is refused.
constexpr uint32_t kTwist = 0x5bd1e995;

}  // namespace

MemoryTable::MemoryTable(uint32_t room) : entries_(room) {
  assert(room <= kMostRoom);
  for (uint32_t i = 0; i < room; i++)
    free_.push_back(i);
}

uint32_t MemoryTable::remote_key(uint32_t place, uint32_t life) {
  return (life << kPlaceBits | place) ^ kTwist;
}

uint32_t MemoryTable::place_of(uint32_t remote_key) {
  return (remote_key ^ kTwist) & ((1u << kPlaceBits) - 1);
}

uint32_t MemoryTable::life_of(uint32_t remote_key) {
  return (remote_key ^ kTwist) >> kPlaceBits;
}

Result<Registration> MemoryTable::add(std::byte* base, uint64_t bytes, uint32_t rights) {
  if (base == nullptr || bytes == 0) return Errc::kInvalid;
  if (free_.empty()) return Errc::kNoMemory;
  const uint32_t place = free_.front();
  free_.pop_front();
  Entry& e = entries_[place];
  e.base = base;
  e.bytes = bytes;
  e.rights = rights;
  const uint32_t life = e.next_life;
  e.next_life = life == 0xffff ? 1 : life + 1;
  e.life.store(life);
  const uint32_t key = remote_key(place, life);
  return Registration{base, bytes, key ^ kTwist, key, 0, &e};
}

void MemoryTable::remove(const Registration& registration) {
  auto& e = *static_cast<Entry*>(registration.handle);
  assert(e.life.load_relaxed() == registration.local_key >> kPlaceBits);
  e.life.store(0);
  free_.push_back(static_cast<uint32_t>(&e - entries_.data()));
}

const MemoryTable::Entry* MemoryTable::find(uint32_t local_key) const {
  const uint32_t place = local_key & ((1u << kPlaceBits) - 1);
  const uint32_t life = local_key >> kPlaceBits;
  if (place >= entries_.size() || life == 0) return nullptr;
  const Entry& e = entries_[place];
  return e.life.load() == life ? &e : nullptr;
}

std::byte* MemoryTable::remote(uint32_t remote_key, uint64_t offset, uint64_t bytes,
                               uint32_t right) const {
  const Entry* e = find(remote_key ^ kTwist);
  if (e == nullptr || (e->rights & right) == 0) return nullptr;
  if (offset > e->bytes || bytes > e->bytes - offset) return nullptr;
  return e->base + offset;
}

bool MemoryTable::local(const FabricRequest& r) const {
  if (r.inlined || r.bytes == 0 || r.op == FabricOp::kFlush) return true;
  const Entry* e = find(r.local_key);
  if (e == nullptr || r.local < e->base) return false;
  if (r.op == FabricOp::kGet && (e->rights & kReadOnly) != 0) return false;
  const auto offset = static_cast<uint64_t>(r.local - e->base);
  return offset <= e->bytes && r.bytes <= e->bytes - offset;
}

}  // namespace penstock
