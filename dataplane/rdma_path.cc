#include "dataplane/rdma_path.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace penstock {

RdmaPath::RdmaPath(Rails& rails, const void* device, uint64_t guess)
    : rails_(rails), link_(rails.link()), device_(device), rate_(guess) {
  rails.add(*this);
}

void RdmaPath::open(Connection* connection, Endpoint* endpoint, uint64_t session) {
  connection_ = connection;
  endpoint_ = endpoint;
  session_ = session;
  rate_.forget();
  proven_ = false;
  passing_ = 0;
  state_ = State::kUp;
}

const RdmaPath::Lane* RdmaPath::find(const OutLane& lane) const {
  const auto it = std::ranges::find(lanes_, &lane, &Lane::lane);
  return it == lanes_.end() ? nullptr : &*it;
}

// A peer that offers another amount of memory than its mirror has would have us put elsewhere.
Errc RdmaPath::add_lane(OutLane& lane, const Registration& source, const RemoteRegion& mirror,
                        uint64_t from_bytes) {
  if (state_ != State::kUp) return Errc::kClosed;
  if (mirror.bytes != lane.mirror().arena_size()) return Errc::kInvalid;
  if (find(lane) != nullptr) return Errc::kBusy;
  lanes_.push_back({&lane, source, mirror});
  rails_.join(lane, from_bytes);
  return Errc::kOk;
}

bool RdmaPath::remove_lane(OutLane& lane) {
  std::erase_if(lanes_, [&](const Lane& l) { return l.lane == &lane; });
  rails_.leave(lane);
  if (state_ == State::kStopped) connection_->strike(&lane);  // what remains goes no way any more
  const auto left = std::ranges::find(leaving_, &lane, &Leaving::lane);
  bool free = state_ == State::kOff;
  if (!free && !connection_->has(&lane)) {
    // The peer has all of it; the device may not know, and read it once more.
    const uint64_t settled = connection_->settle();
    const uint64_t until = left != leaving_.end() ? left->until : settled;
    free = connection_->failed() || connection_->poster().done() >= until;
    if (!free && left == leaving_.end()) leaving_.push_back({&lane, until});
  }
  if (free && left != leaving_.end()) leaving_.erase(left);
  return free;
}

bool RdmaPath::works() const {
  return state_ == State::kUp && proven_ && !connection_->failed() && link_.in_session(session_);
}

bool RdmaPath::takes(const OutLane& lane, const FragmentHeader& m, const std::byte* bytes) const {
  if (!works()) return false;
  const Lane* l = find(lane);
  return l != nullptr && bytes >= l->source.base && m.message_len <= l->source.bytes &&
         static_cast<uint64_t>(bytes - l->source.base) <= l->source.bytes - m.message_len &&
         connection_->possible(m.message_len);
}

void RdmaPath::put(OutLane& lane, const FragmentHeader& m, const std::byte* from, uint64_t bytes) {
  const Lane& l = *find(lane);
  const uint64_t at = (m.arena_position & (l.mirror.bytes - 1)) + m.offset;
  [[maybe_unused]] const bool taken = connection_->put({.owner = &lane,
                                                        .from = from,
                                                        .bytes = bytes,
                                                        .local_key = l.source.local_key,
                                                        .remote_address = l.mirror.address + at,
                                                        .remote_key = l.mirror.key,
                                                        .message = m});
  assert(taken);
  rate_.begun(bytes, now_);
  stats_.puts.add(1);
  stats_.put_bytes.add(bytes);
}

void RdmaPath::pass(const Connection::Put& put) {
  [[maybe_unused]] const bool taken = connection_->put(put);
  assert(taken);
  passing_++;
  rate_.begun(put.bytes, now_);
  stats_.puts.add(1);
  stats_.put_bytes.add(put.bytes);
}

void RdmaPath::arrived(const Connection::Put& put) {
  rate_.arrived(put.bytes, now_);
  stats_.bytes_per_s.store(static_cast<uint64_t>(rate_.bytes_per_s()));
  if (put.owner != nullptr) {
    auto& lane = *static_cast<OutLane*>(put.owner);
    rails_.done(lane, put.bytes);
    link_.put_landed(lane, put.message.position, put.message.offset, put.bytes);
  } else if (put.bytes != 0) {
    passing_--;
  }
  rails_.room();
}

// What nobody wants any more is taken and forgotten, as frames are.
bool RdmaPath::begun(const PutRecord& transfer) {
  if (!link_.in_session(session_)) return true;
  if (transfer.connection != 0) return rails_.relay().begun(*this, transfer);
  const Drop d = link_.on_put(transfer.message, now_);
  return d == Drop::kNone || d == Drop::kDuplicate || d == Drop::kNoLane;
}

void RdmaPath::landed(const PutRecord& transfer, uint64_t offset, uint64_t bytes) {
  if (!link_.in_session(session_)) return;
  if (transfer.connection != 0) return rails_.relay().landed(*this, transfer, offset, bytes, now_);
  link_.on_put_landed(transfer.message, offset, bytes, now_);
}

bool RdmaPath::noted(const PassNote& note) {
  return !link_.in_session(session_) || rails_.relay().noted(*this, note, now_);
}

void RdmaPath::on_immediate(const FabricImmediate& i, uint64_t now) {
  now_ = now;
  if (!link_.in_session(session_)) return stop();  // it must not be told that anything is here
  const uint64_t taken = connection_->stats().taken.read();
  const uint64_t bytes = connection_->stats().taken_bytes.read();
  connection_->on_immediate(i, *this);
  stats_.taken.add(connection_->stats().taken.read() - taken);
  stats_.taken_bytes.add(connection_->stats().taken_bytes.read() - bytes);
}

bool RdmaPath::poll(uint64_t now, bool emptied, uint32_t& work) {
  now_ = now;
  if (state_ == State::kUp && !link_.in_session(session_)) stop();
  if (state_ == State::kUp) {
    work += connection_->poll(*this);
    rails_.relay().turn(now);
    if (!proven_ && connection_->proven()) {
      proven_ = true;
      rails_.up();
      stats_.bytes_per_s.store(static_cast<uint64_t>(rate_.bytes_per_s()));
    }
    if (connection_->failed()) stop();
    return false;
  }
  if (state_ != State::kStopping || !emptied) return false;
  if (stopped_at_ == 0) stopped_at_ = now;
  if (now - stopped_at_ < kDrainNs) return false;
  state_ = State::kStopped;
  rails_.relay().stopped(*this);
  return true;
}

// What waits for room goes by other rails now, or by frames.
void RdmaPath::stop() {
  if (state_ != State::kUp) return;
  connection_->fail(FabricCode::kCanceled);
  endpoint_->stop();
  state_ = State::kStopping;
  stopped_at_ = 0;
  stats_.errors.add(1);
  stats_.bytes_per_s.store(0);
  rails_.room();
}

void RdmaPath::resolve(uint64_t taken, std::span<const UnfinishedTransfer> unfinished) {
  if (state_ != State::kStopped) return;
  connection_->each_under_way([&](uint64_t number, const Connection::Put& put) {
    if (put.owner == nullptr) return;
    auto& lane = *static_cast<OutLane*>(put.owner);
    rails_.done(lane, put.bytes);
    const uint64_t position = put.message.position;
    const uint64_t offset = put.message.offset;
    if (number <= taken) return link_.put_landed(lane, position, offset, put.bytes);
    const auto u = std::ranges::find(unfinished, number, &UnfinishedTransfer::number);
    const uint32_t log2 = Connection::chunk_log2(put.bytes);
    uint64_t rest = put.bytes;
    for (uint32_t c = 0; u != unfinished.end() && c < Connection::chunks(put.bytes); c++) {
      if ((u->chunks[c / 64] >> c % 64 & 1) == 0) continue;
      const uint64_t at = uint64_t{c} << log2;
      const uint64_t bytes = std::min(put.bytes - at, uint64_t{1} << log2);
      link_.put_landed(lane, position, offset + at, bytes);
      rest -= bytes;
    }
    if (!lane.waits_for_puts(put.message.message_len)) {
      stats_.again.add(rest != 0 ? 1 : 0);
      stats_.again_bytes.add(rest);
    }
    link_.put_ended(lane, position, offset, put.bytes);
  });
  off();
}

void RdmaPath::forget() {
  if (state_ != State::kStopped) return;
  connection_->each_under_way([&](uint64_t /*number*/, const Connection::Put& put) {
    if (put.owner != nullptr) rails_.done(*static_cast<OutLane*>(put.owner), put.bytes);
  });
  off();
}

void RdmaPath::off() {
  for (const Lane& l : std::exchange(lanes_, {}))
    rails_.leave(*l.lane);
  leaving_.clear();
  state_ = State::kOff;
  connection_ = nullptr;
  endpoint_ = nullptr;
}

}  // namespace penstock
