#include "rdma/connection.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace penstock {
namespace {

// In an immediate: chunk 0 is the record.
constexpr uint32_t kRecord = 0;
static_assert(kTransferChunks + 1 <= kImmChunks && kTransferSlots <= kImmSlots);

std::array<std::byte, 128> copy(const std::array<std::byte, 128>& from) {
  std::array<std::byte, 128> to;
  std::memcpy(to.data(), from.data(), to.size());
  __asm__ __volatile__("" ::: "memory");  // what is checked is what is used
  return to;
}

}  // namespace

Connection::Connection(Endpoint& endpoint, Landing& landing, const Config& config)
    : endpoint_(endpoint),
      landing_(landing),
      config_(config),
      poster_(endpoint, config.send_depth, config.peer_window),
      granted_(config.window),
      told_granted_(config.window) {
  for (uint32_t s = 0; s < kTransferSlots; s++)
    in_[s].number = s == 0 ? kTransferSlots : s;
}

uint32_t Connection::chunk_log2(uint64_t bytes) {
  uint32_t log2 = kChunkLog2;
  while (bytes > uint64_t{kTransferChunks} << log2)
    log2++;
  return log2;
}

bool Connection::possible(uint64_t bytes) const {
  return bytes != 0 && chunk_log2(bytes) <= 31 &&
         uint64_t{1} << chunk_log2(bytes) <= config_.max_message;
}

Connection::Out* Connection::begin_transfer() {
  if (failed() || !has_slot()) return nullptr;
  begun_++;
  return &out_[begun_ % kTransferSlots];
}

bool Connection::put(const Put& put) {
  assert(possible(put.bytes));
  Out* out = begin_transfer();
  if (out == nullptr) return false;
  out->put = put;
  write_put_record({begun_, put.bytes, put.message, put.connection}, out->record);
  stats_.puts.add(1);
  stats_.put_bytes.add(put.bytes);
  return true;
}

bool Connection::note(const PassNote& note) {
  Out* out = begin_transfer();
  if (out == nullptr) return false;
  out->put = {};
  PassNote numbered = note;
  numbered.number = begun_;
  write_pass_note(numbered, out->record);
  return true;
}

// What is done first, because it makes room; then what is new; then one bell for all of it.
uint32_t Connection::poll(Sink& sink) {
  if (failed()) return 0;
  if (!poster_.grant(landing_.granted.load())) fail(FabricCode::kRemoteAccess);
  const uint64_t done = landing_.done.load();
  if (done > posted_) fail(FabricCode::kRemoteAccess);  // it cannot have what has not gone
  if (failed()) return 1;
  uint32_t work = 0;
  for (; arrived_ < done; work++) {
    const Put put = out_[(arrived_ + 1) % kTransferSlots].put;
    arrived_++;
    stats_.arrived.add(put.bytes != 0 ? 1 : 0);
    sink.arrived(put);
  }
  if (tell()) work++;
  if (pump()) work++;
  poster_.flush();
  return work;
}

bool Connection::pump() {
  const uint64_t before = poster_.added();
  while (posted_ != begun_) {
    const uint64_t number = posted_ + 1;
    const Out& out = out_[number % kTransferSlots];
    const uint32_t chunks = Connection::chunks(out.put.bytes);
    while (next_chunk_ != chunks && post_chunk(out, number))
      next_chunk_++;
    if (next_chunk_ != chunks || !post_record(out, number)) break;
    next_chunk_ = 0;
    posted_++;
  }
  return poster_.added() != before;
}

bool Connection::post_chunk(const Out& out, uint64_t number) {
  const uint64_t len = out.put.bytes;
  const uint64_t at = uint64_t{next_chunk_} << chunk_log2(len);
  FabricRequest r;
  r.op = FabricOp::kPutImmediate;
  r.immediate = imm_of(number % kTransferSlots, next_chunk_ + 1);
  r.local = const_cast<std::byte*>(out.put.from) + at;  // a put only reads it
  r.bytes = static_cast<uint32_t>(std::min(len - at, uint64_t{1} << chunk_log2(len)));
  r.local_key = out.put.local_key;
  r.remote_address = out.put.remote_address + at;
  r.remote_key = out.put.remote_key;
  return poster_.add(r);
}

bool Connection::post_record(const Out& out, uint64_t number) {
  const uint64_t slot = number % kTransferSlots;
  FabricRequest r;
  r.op = FabricOp::kPutImmediate;
  r.inlined = true;
  r.immediate = imm_of(static_cast<uint32_t>(slot), kRecord);
  r.local = const_cast<std::byte*>(out.record.data());
  r.bytes = kPutRecordSize;
  r.remote_address = config_.peer_landing.address + offsetof(Landing, records) + slot * 128;
  r.remote_key = config_.peer_landing.key;
  return poster_.add(r);
}

// Both words with one put, when one of them is worth it: a transfer is done, or half of what the
// peer may send is used.
bool Connection::tell() {
  const uint64_t granted = consumed_ + config_.window;
  if (2 * (granted - told_granted_) >= config_.window) granted_ = granted;
  const bool first = status_at_ == 0;  // says nothing new, but its completion does: the way works
  if (first && !config_.begins && landing_.granted.load() == 0) return false;
  if (!first && taken_ == told_taken_ && granted_ == told_granted_) return false;
  // One at a time: an older one that lands late would undo a newer one, and nobody say it again.
  if (poster_.done() < status_at_) return false;
  granted_ = granted;
  status_ = {granted_, taken_};
  FabricRequest r;
  r.inlined = true;
  r.signalled = true;
  r.local = reinterpret_cast<std::byte*>(status_.data());
  r.bytes = sizeof status_;
  r.remote_address = config_.peer_landing.address + offsetof(Landing, granted);
  r.remote_key = config_.peer_landing.key;
  if (!poster_.add(r)) return false;
  status_at_ = poster_.added();
  told_granted_ = granted_;
  told_taken_ = taken_;
  return true;
}

void Connection::on_immediate(const FabricImmediate& i, Sink& sink) {
  if (nonsense_) return;
  if (++consumed_ > told_granted_) return wrong();  // it takes what is others'
  const uint32_t slot = imm_slot(i.immediate);
  const uint32_t chunk = imm_chunk(i.immediate);
  if (slot >= kTransferSlots || chunk > kTransferChunks) return wrong();
  In& in = in_[slot];
  if (chunk == kRecord) return begin(in, slot, sink);
  if (in.bits.test(chunk - 1) || (in.begun && chunk > in.chunks)) return wrong();
  in.bits.set(chunk - 1);
  in.landed++;
  if (!in.begun) return;
  tell_landed(in, chunk - 1, sink);
  if (in.landed == in.chunks) finish(in);
}

// The peer breaks the rules: nothing more of it is believed.
void Connection::wrong() {
  nonsense_ = true;
  fail(FabricCode::kRemoteAccess);
}

// The record has come; some chunks may have come before it.
void Connection::begin(In& in, uint32_t slot, Sink& sink) {
  const auto bytes = copy(landing_.records[slot]);
  const auto record = std::span(bytes).first<kPutRecordSize>();
  if (in.begun) return wrong();
  if (const auto note = parse_pass_note(record)) {
    if (note->number != in.number || in.landed != 0 || !sink.noted(*note)) return wrong();
    in.record = {};
    return finish(in);
  }
  const auto r = parse_put_record(record);
  if (!r || r->number != in.number) return wrong();
  in.record = *r;
  in.chunks = chunks(r->bytes);
  in.begun = true;
  const bool beyond = in.chunks < kTransferChunks && (in.bits >> in.chunks).any();
  if (beyond || !sink.begun(in.record)) return wrong();
  for (uint32_t c = 0; c < in.chunks; c++)
    if (in.bits.test(c)) tell_landed(in, c, sink);
  if (in.landed == in.chunks) finish(in);
}

void Connection::tell_landed(const In& in, uint32_t chunk, Sink& sink) {
  const PutRecord& r = in.record;
  const uint64_t at = uint64_t{chunk} << chunk_log2(r.bytes);
  const uint64_t bytes = std::min(r.bytes - at, uint64_t{1} << chunk_log2(r.bytes));
  sink.landed(r, r.message.offset + at, bytes);
}

// Whole. All up to taken_ are; what comes after one that is not is told with it.
void Connection::finish(In& in) {
  stats_.taken.add(in.record.bytes != 0 ? 1 : 0);
  stats_.taken_bytes.add(in.record.bytes);
  in.number += kTransferSlots;
  in.begun = false;
  in.chunks = in.landed = 0;
  in.bits.reset();
  while (in_[(taken_ + 1) % kTransferSlots].number > taken_ + 1)
    taken_++;
}

bool Connection::has(const void* owner) const {
  for (uint64_t n = arrived_ + 1; n <= begun_; n++)
    if (out_[n % kTransferSlots].put.owner == owner) return true;
  return false;
}

void Connection::strike(const void* owner) {
  for (uint64_t n = arrived_ + 1; n <= begun_; n++)
    if (out_[n % kTransferSlots].put.owner == owner) out_[n % kTransferSlots].put.owner = nullptr;
}

// One that is whole and waits for one before it has all its bits set again.
size_t Connection::unfinished(std::span<UnfinishedTransfer, kTransferSlots> out) const {
  size_t n = 0;
  for (uint64_t number = taken_ + 1; number <= taken_ + kTransferSlots; number++) {
    const In& in = in_[number % kTransferSlots];
    const bool whole = in.number > number;
    if (!whole && !in.begun) continue;
    UnfinishedTransfer& u = out[n++];
    u.number = number;
    for (uint32_t c = 0; c < kTransferChunks; c++)
      if (whole || in.bits.test(c)) u.chunks[c / 64] |= uint64_t{1} << c % 64;
  }
  return n;
}

}  // namespace penstock
