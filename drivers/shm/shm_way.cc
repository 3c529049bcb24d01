#include "drivers/shm/shm_way.h"

#include <bit>
#include <new>
#include <sys/socket.h>

#include "rdma/memory_table.h"

namespace penstock {

void ShmWayOut::end(const Visit& worker) {
  state_.store(static_cast<uint64_t>(State::kDead));
  departure_ = worker.departure();
}

void ShmWayOut::serve(const Visit& worker) {
  while (socket_) {
    // A place is given to another file only when the worker is out of the one before.
    if ((leaving_ || state() == State::kDead) && !worker.passed(departure_)) return;
    leaving_ = Mapping();
    if (state() == State::kDead) {
      socket_ = Fd();
      return;
    }
    ShmMessage m;
    Fd fd;
    const Errc e = shm_receive(socket_.get(), m, fd);
    if (e == Errc::kWouldBlock) return;
    if (e != Errc::kOk || !take(m, fd)) {
      end(worker);
    } else if (leaving_) {
      departure_ = worker.departure();
    }
  }
}

// False: nothing that an honest peer would send, or no room for it here.
bool ShmWayOut::take(const ShmMessage& m, const Fd& fd) {
  if (m.word == ShmWord::kSegmentGone) {
    if (m.number >= kShmSegments || segments_[m.number].base.load_relaxed() == 0) return false;
    Segment& s = segments_[m.number];
    s.base.store(0);
    leaving_ = std::move(s.mapping);
    return true;
  }
  if (m.word == ShmWord::kTable) {
    if (table_ != nullptr || m.bytes < sizeof(ShmTable)) return false;
    auto file = Mapping::open(fd.get(), m.bytes, Access::kRead);
    if (!file.ok()) return false;
    table_file_ = std::move(*file);
    table_ = reinterpret_cast<const ShmTable*>(table_file_.data());
    return table_->magic == kShmMagic && table_->device == device_;
  }
  if (m.word == ShmWord::kRing) {
    if (table_ == nullptr || ring_ != nullptr || m.number == 0 || m.number > 1u << 24) return false;
    slots_ = std::bit_ceil(uint64_t{m.number});
    if (m.bytes < shm_ring_bytes(slots_)) return false;
    auto file = Mapping::open(fd.get(), m.bytes, Access::kReadWrite);
    if (!file.ok()) return false;
    ring_file_ = std::move(*file);
    ring_ = reinterpret_cast<ShmRing*>(ring_file_.data());
    receives_ = m.number;
    state_.store(static_cast<uint64_t>(State::kOpen));
    return true;
  }
  if (m.word != ShmWord::kSegment || m.number >= kShmSegments) return false;
  Segment& s = segments_[m.number];
  if (s.base.load_relaxed() != 0) return false;
  const bool writable = m.writable == 1;
  auto file = Mapping::open(fd.get(), m.bytes, writable ? Access::kReadWrite : Access::kRead);
  if (!file.ok()) return false;
  s.mapping = std::move(*file);
  s.bytes = m.bytes;
  s.writable = writable;
  s.base.store(reinterpret_cast<uintptr_t>(s.mapping.data()));
  return true;
}

ShmWayOut::Found ShmWayOut::find(uint32_t key, uint64_t offset, uint64_t bytes, uint32_t right,
                                 std::byte*& at) const {
  const uint32_t place = MemoryTable::place_of(key);
  const uint32_t life = MemoryTable::life_of(key);
  if (place >= kShmRegions || life == 0) return Found::kRefused;
  const ShmRegion& r = table_->regions[place];
  if (r.life.load() != life || (r.rights.get() & right) == 0) return Found::kRefused;
  const uint64_t size = r.bytes.get();
  if (offset > size || bytes > size - offset) return Found::kRefused;
  const uint64_t from = r.offset.get();
  const uint32_t number = r.segment.get();
  if (number >= kShmSegments) return Found::kRefused;
  const Segment& s = segments_[number];
  const uint64_t base = s.base.load();
  if (base == 0) return Found::kNotYet;
  // The peer's table may say anything; what is mapped here is what counts.
  if (from > s.bytes || offset > s.bytes - from || bytes > s.bytes - from - offset)
    return Found::kRefused;
  if (right == kRemotePut && !s.writable) return Found::kRefused;
  at = reinterpret_cast<std::byte*>(base) + from + offset;
  return Found::kYes;
}

bool ShmWayOut::push(uint64_t endpoint, uint32_t immediate, uint32_t bytes) {
  // Whatever the peer says, no more lie there than it has receives.
  if (tail_ - ring_->head.load() >= receives_) return false;
  ShmImmediate& slot = shm_slots(ring_)[tail_ & (slots_ - 1)];
  slot.endpoint.set(endpoint);
  slot.immediate.set(immediate);
  slot.bytes.set(bytes);
  ring_->tail.store(++tail_);
  return true;
}

Errc ShmWayIn::begin(Fd socket, int table, uint64_t table_bytes, uint32_t receives) {
  const uint64_t slots = std::bit_ceil(uint64_t{receives});
  auto memory = SealedMemory::create("penstock-shm-ring", shm_ring_bytes(slots));
  if (!memory.ok()) return memory.error();
  auto map = memory->map(Access::kReadWrite);
  if (!map.ok()) return map.error();
  auto* ring = new (map->data()) ShmRing;
  for (uint64_t i = 0; i < slots; i++)
    new (shm_slots(ring) + i) ShmImmediate;
  ShmMessage m;
  m.word = ShmWord::kTable;
  m.bytes = table_bytes;
  if (const Errc e = shm_send(socket.get(), m, table); e != Errc::kOk) return e;
  m.word = ShmWord::kRing;
  m.number = receives;
  m.bytes = memory->bytes();
  if (const Errc e = shm_send(socket.get(), m, memory->fd()); e != Errc::kOk) return e;
  socket_ = std::move(socket);
  ring_file_ = std::move(*map);
  ring_ = ring;
  mask_ = slots - 1;
  head_ = 0;
  told.reset();
  state_.store(static_cast<uint64_t>(State::kLive));
  return Errc::kOk;
}

// It sees the end of the stream, hangs up, and that shows here.
void ShmWayIn::refuse() {
  state_.store(static_cast<uint64_t>(State::kRefused));
  shutdown(socket_.get(), SHUT_WR);
}

void ShmWayIn::clear() {
  socket_ = Fd();
  ring_file_ = Mapping();
  ring_ = nullptr;
  state_.store(static_cast<uint64_t>(State::kFree));
}

bool ShmWayIn::pop(uint64_t& endpoint, FabricImmediate& out) {
  const State now = state();
  if (now != State::kLive && now != State::kEnding) return false;
  const uint64_t waiting = ring_->tail.load() - head_;
  if (waiting == 0 || waiting > mask_ + 1) {
    if (now == State::kEnding) state_.store(static_cast<uint64_t>(State::kDrained));
    if (now == State::kLive && waiting != 0) state_.store(static_cast<uint64_t>(State::kRefused));
    return false;
  }
  const ShmImmediate& slot = shm_slots(ring_)[head_++ & mask_];
  endpoint = slot.endpoint.get();
  out.immediate = slot.immediate.get();
  out.bytes = slot.bytes.get();
  return true;
}

}  // namespace penstock
