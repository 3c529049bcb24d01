#include "dataplane/rdma_path.h"

#include <algorithm>
#include <utility>

namespace penstock {

void RdmaPath::open(Connection* connection, Endpoint* endpoint, uint64_t session) {
  connection_ = connection;
  endpoint_ = endpoint;
  session_ = session;
  state_ = State::kUp;
}

RdmaPath::Lane* RdmaPath::find(const OutLane& lane) {
  const auto it = std::ranges::find(lanes_, &lane, &Lane::lane);
  return it == lanes_.end() ? nullptr : &*it;
}

// A peer that offers another amount of memory than its mirror has would have us put elsewhere.
Errc RdmaPath::add_lane(OutLane& lane, const Registration& source, const RemoteRegion& mirror,
                        uint64_t from_bytes) {
  if (state_ != State::kUp) return Errc::kClosed;
  if (mirror.bytes != lane.mirror().arena_size()) return Errc::kInvalid;
  if (find(lane) != nullptr) return Errc::kBusy;
  lanes_.push_back({&lane, source, mirror, false});
  lane.set_puts(this, from_bytes);
  return Errc::kOk;
}

bool RdmaPath::remove_lane(OutLane& lane) {
  std::erase_if(lanes_, [&](const Lane& l) { return l.lane == &lane; });
  lane.set_puts(nullptr, 0);
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

PutPath::Take RdmaPath::put(OutLane& lane, const FragmentHeader& m, const std::byte* bytes) {
  Lane* l = find(lane);
  const bool mine =
      l != nullptr && bytes >= l->source.base && m.message_len <= l->source.bytes &&
      static_cast<uint64_t>(bytes - l->source.base) <= l->source.bytes - m.message_len;
  if (!mine || state_ != State::kUp || !connection_->possible(m.message_len) ||
      !link_.in_session(session_)) {
    stats_.by_frames.add(1);
    return Take::kNo;
  }
  const uint64_t at = m.arena_position & (l->mirror.bytes - 1);
  const Connection::Put put{.owner = &lane,
                            .bytes = bytes,
                            .local_key = l->source.local_key,
                            .remote_address = l->mirror.address + at,
                            .remote_key = l->mirror.key,
                            .message = m};
  if (connection_->failed()) return Take::kNo;
  if (!connection_->put(put)) {
    l->waiting = waiting_ = true;
    stats_.full.add(1);
    return Take::kFull;
  }
  stats_.puts.add(1);
  stats_.put_bytes.add(m.message_len);
  return Take::kTaken;
}

void RdmaPath::arrived(const Connection::Put& put) {
  link_.put_arrived(*static_cast<OutLane*>(put.owner), put.message.position);
  if (!waiting_) return;
  waiting_ = false;
  for (Lane& l : lanes_)
    if (std::exchange(l.waiting, false)) link_.puts_again(*l.lane);
}

// What nobody wants any more is taken and forgotten, as frames are.
bool RdmaPath::begun(const FragmentHeader& message) {
  if (!link_.in_session(session_)) return true;
  const Drop d = link_.on_put(message, now_);
  return d == Drop::kNone || d == Drop::kDuplicate || d == Drop::kNoLane;
}

void RdmaPath::landed(const FragmentHeader& message, uint64_t offset, uint64_t bytes) {
  if (link_.in_session(session_)) link_.on_put_landed(message, offset, bytes, now_);
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
    if (connection_->failed()) stop();
    return false;
  }
  if (state_ != State::kStopping || !emptied) return false;
  if (stopped_at_ == 0) stopped_at_ = now;
  if (now - stopped_at_ < kDrainNs) return false;
  state_ = State::kStopped;
  return true;
}

// What waits for room goes by frames now.
void RdmaPath::stop() {
  if (state_ != State::kUp) return;
  connection_->fail(FabricCode::kCanceled);
  endpoint_->stop();
  state_ = State::kStopping;
  stopped_at_ = 0;
  waiting_ = false;
  stats_.errors.add(1);
  for (Lane& l : lanes_)
    if (std::exchange(l.waiting, false)) link_.puts_again(*l.lane);
}

void RdmaPath::resolve(uint64_t taken, std::span<const UnfinishedTransfer> unfinished) {
  if (state_ != State::kStopped) return;
  connection_->each_under_way([&](uint64_t number, const Connection::Put& put) {
    if (put.owner == nullptr) return;
    auto& lane = *static_cast<OutLane*>(put.owner);
    const uint64_t len = put.message.message_len;
    const uint64_t position = put.message.position;
    if (number <= taken) return link_.put_arrived(lane, position);
    const auto u = std::ranges::find(unfinished, number, &UnfinishedTransfer::number);
    const uint32_t log2 = Connection::chunk_log2(len);
    uint64_t rest = len;
    for (uint32_t c = 0; u != unfinished.end() && c < Connection::chunks(len); c++) {
      if ((u->chunks[c / 64] >> c % 64 & 1) == 0) continue;
      const uint64_t at = uint64_t{c} << log2;
      const uint64_t bytes = std::min(len - at, uint64_t{1} << log2);
      link_.put_landed(lane, position, at, bytes);
      rest -= bytes;
    }
    stats_.again.add(rest != 0 ? 1 : 0);
    stats_.again_bytes.add(rest);
    link_.put_ended(lane, position);
  });
  off();
}

void RdmaPath::forget() {
  if (state_ == State::kStopped) off();
}

void RdmaPath::off() {
  for (const Lane& l : lanes_)
    l.lane->set_puts(nullptr, 0);
  lanes_.clear();
  leaving_.clear();
  state_ = State::kOff;
  connection_ = nullptr;
  endpoint_ = nullptr;
}

}  // namespace penstock
