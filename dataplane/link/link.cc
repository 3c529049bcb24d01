// Frames in: checked from the outside in, so that nothing is looked at twice or believed too early.
#include "dataplane/link/link.h"

#include "dataplane/wire/batch.h"
#include "dataplane/wire/crc32c.h"
#include "dataplane/wire/fragment.h"
#include "dataplane/wire/ping.h"
#include "dataplane/wire/relay.h"

namespace penstock {
namespace {

constexpr uint64_t kFirstLookNs = 10'000;  // at readers, when a mirror was written to

constexpr uint32_t bit(FrameType type) {
  return 1u << static_cast<uint32_t>(type);
}

// Frames that carry what must arrive. Who announces what others bring sends next to nothing.
constexpr uint32_t kFlows =
    bit(FrameType::kBatch) | bit(FrameType::kFragment) | bit(FrameType::kRelayed);
constexpr uint32_t kContents = kFlows | bit(FrameType::kAnnounce) | bit(FrameType::kPass);

// Where the digest of a message needs the piece, it and the checksum are had from one reading. What
// the frame says is not believed yet: either way the checksum is the same.
bool intact(FrameType type, std::span<const std::byte> frame, std::span<const std::byte> payload,
            uint32_t& part) {
  constexpr size_t kMessageLenAt = kHopHeaderSize + 24;
  size_t at = 0;
  if (type == FrameType::kRelayed) at = kHopHeaderSize + kRelayedHeaderSize;
  if (type == FrameType::kFragment) at = kHopHeaderSize + kFragmentHeaderSize;
  const bool large =
      at != 0 && frame.size() >= at &&
      (type == FrameType::kRelayed || load_le<uint64_t>(&frame[kMessageLenAt]) > kDigestFrom);
  if (!large || (!payload.empty() && frame.size() != at)) return check(frame, payload);
  const auto piece = payload.empty() ? frame.subspan(at) : payload;
  part = crc_part(piece);
  return check(frame.first(at), part, piece.size());
}

}  // namespace

Drop Link::on_frame(const std::byte* data, uint32_t len, const std::byte* payload,
                    uint32_t payload_len, uint64_t now, const FrameNote& note) {
  pass_time(now);
  note_ = note;
  stats_.rx_frames.add(1);
  stats_.rx_bytes.add(uint64_t{len} + payload_len);
  const Drop d = take({data, len}, {payload, payload_len}, now);
  if (d != Drop::kNone) stats_.drops.add(d);
  return d;
}

// A side that was not run for long does not know whether the peer was silent.
void Link::pass_time(uint64_t now) {
  if (session_ != 0 && now > last_call_ + config_.dead_after_ns / 4) {
    last_heard_ = now;
    stats_.stalls.add(1);
  }
  last_call_ = now;
}

Drop Link::take(std::span<const std::byte> frame, std::span<const std::byte> payload,
                uint64_t now) {
  const auto hop = parse_hop(frame);
  if (!hop) {
    const bool foreign = !frame.empty() && wire_version(frame) != kWireVersion;
    return foreign ? Drop::kBadVersion : Drop::kBadFrame;
  }
  if (state_ == LinkState::kIdle || state_ == LinkState::kClosed) return Drop::kUnknownPeer;
  const uint32_t named = hop->type == FrameType::kHello ? 0 : connection_;
  if (hop->connection != named) return Drop::kUnknownPeer;
  if (!intact(hop->type, frame, payload, part_)) return Drop::kBadChecksum;
  const auto body = frame.subspan(kHopHeaderSize);
  // Only a piece of a message is sent in two pieces of memory, and so may come in two.
  const bool two = hop->type == FrameType::kFragment || hop->type == FrameType::kRelayed;
  if (!payload.empty() && !two) return Drop::kBadFrame;
  switch (hop->type) {
    case FrameType::kHello:
      return on_hello(body, now);
    case FrameType::kRetry:
      return on_retry(body);
    case FrameType::kHelloAck:
      return on_hello_ack(*hop, body, now);
    case FrameType::kClose:
      return on_close(*hop, body, now);
    default:
      return take_session(*hop, body, payload, now);
  }
}

// A frame that names our connection shows that the peer knows it.
Drop Link::take_session(const HopHeader& hop, std::span<const std::byte> body,
                        std::span<const std::byte> payload, uint64_t now) {
  if (peer_.connection == 0) return Drop::kUnknownPeer;
  if (hop.incarnation != static_cast<uint16_t>(peer_.epoch)) return Drop::kStaleEpoch;
  if (received_.has(hop.packet)) {
    stats_.duplicates.add(1);
    return Drop::kDuplicate;
  }
  if (state_ == LinkState::kConnecting) {
    if (!may_come_up(now)) return Drop::kNoBuffer;
    come_up(now);
  }
  last_heard_ = now;
  const Drop d = take_contents(hop, body, payload, now);
  if (d != Drop::kNone && d != Drop::kDuplicate) return d;
  const bool contents = (bit(hop.type) & kContents) != 0;
  if (contents && spread_.came(d == Drop::kDuplicate, next_packet_)) stats_.rerouted.add(1);
  received_.add(hop.packet, now, contents, (hop.flags & kHopAckNow) != 0, note_.waited_ns);
  if (inflow_ != nullptr && (bit(hop.type) & kFlows) != 0) inflow_->heard(sender_, now);
  if (note_.congested) {
    marks_++;
    stats_.marked.add(1);
  }
  return d;
}

Drop Link::take_contents(const HopHeader& hop, std::span<const std::byte> body,
                         std::span<const std::byte> payload, uint64_t now) {
  switch (hop.type) {
    case FrameType::kBatch:
      return on_batch(body, now);
    case FrameType::kFragment:
      return on_piece(body, payload, now);
    case FrameType::kAck:
      return on_ack(body, now);
    case FrameType::kAnnounce:
      return relay_.on_announce(body, now);
    case FrameType::kPass:
      return relay_.on_pass(body);
    case FrameType::kRelayed:
      return relay_.on_relayed(body, payload, now);
    case FrameType::kLanded:
      return relay_.on_landed(body);
    case FrameType::kPing:
      return on_ping(hop, body);
    case FrameType::kPong:
      return on_pong(body, now);
    default:
      return Drop::kBadFrame;
  }
}

// kNone and no lane: it was removed here, which its sender will hear of; until then what comes for
// it is acknowledged, or it would be sent for ever.
Drop Link::find_in(uint32_t alias, uint32_t epoch, InLane*& lane) {
  const auto* e = in_.find(alias);
  if (e == nullptr || epoch > e->epoch) return Drop::kNoLane;
  lane = epoch == e->epoch ? e->lane : nullptr;
  if (lane == nullptr) stats_.drops.add(Drop::kNoLane);
  return Drop::kNone;
}

Drop Link::on_batch(std::span<const std::byte> body, uint64_t now) {
  const auto h = parse_batch(body);
  if (!h) return Drop::kBadFrame;
  InLane* lane = nullptr;
  if (const Drop d = find_in(h->alias, h->epoch, lane); lane == nullptr) return d;
  const Drop d = lane->on_batch(*h, body);
  if (lane->relay_.passings != 0) [[unlikely]]
    relay_.pass_on(lane);  // a gap may stand where a message was on its way
  touch(lane, now);
  return d;
}

Drop Link::on_piece(std::span<const std::byte> body, std::span<const std::byte> payload,
                    uint64_t now) {
  const auto f = parse_fragment(body, payload);
  if (!f) return Drop::kBadFrame;
  InLane* lane = nullptr;
  if (const Drop d = find_in(f->header.alias, f->header.epoch, lane); lane == nullptr) return d;
  const Drop d = lane->on_piece(*f, part_);
  if (lane->relay_.passings != 0) [[unlikely]]
    relay_.pass_on(lane);
  touch(lane, now);
  return d;
}

// The lane has something that its readers will let go of.
void Link::touch(InLane* lane, uint64_t now) {
  last_contents_ = now;
  if (!lane->giving_) {
    lane->giving_ = true;
    giving_.push_back(lane);
  }
  credit_pause_ = kFirstLookNs;
  if (credit_look_at_ > now + kFirstLookNs) credit_look_at_ = now + kFirstLookNs;
}

Drop Link::on_ping(const HopHeader& hop, std::span<const std::byte> body) {
  const auto token = parse_ping(body);
  if (!token) return Drop::kBadFrame;
  send_pong_ = true;
  pong_token_ = *token;
  if ((hop.flags & kHopAckNow) == 0) return Drop::kNone;
  // The peer waits for credit, and may have missed what it was told.
  send_ack_ = true;
  in_.for_each([this](InLane& lane) { owe(&lane); });
  return Drop::kNone;
}

Drop Link::on_pong(std::span<const std::byte> body, uint64_t now) {
  const auto token = parse_pong(body);
  if (!token) return Drop::kBadFrame;
  if (*token == size_token_ && size_token_ != 0) {
    size_token_ = 0;
    mtu_.answered(now);
    stats_.frame.store_relaxed(mtu_.size());
    return Drop::kNone;
  }
  if (*token != ping_token_ || ping_token_ == 0) return Drop::kDuplicate;
  if (now >= ping_token_) sample(now - ping_token_, 0);
  ping_token_ = 0;
  if (pings_left_ != 0) {
    pings_left_--;
    send_ping_ = true;
  }
  return Drop::kNone;
}

}  // namespace penstock
