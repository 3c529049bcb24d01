// Connections and sessions: how they begin, and how they end.
//
//   A                                            B
//   HELLO {my connection a, nonce, session} ───▶ knows A, may be called by it as soon as A answers
//   up                                       ◀── HELLO_ACK to a {b, the same nonce, session}
//   PING to b ─────────────────────────────────▶ up: whoever says b has heard of this connection
//
// Both sides call, so either's HELLO may be lost, and both may be answered. If both say the same
// session it goes on; otherwise one begins that is named by what the lower node id offers.
#include <algorithm>
#include <bit>
#include <cassert>

#include "dataplane/link/link.h"

namespace penstock {
namespace {

constexpr uint64_t kAnswerPauseNs = 1'000'000'000;  // between refusals, in and out
constexpr uint64_t kComePauseNs = 250'000'000;      // between connections in the long run
constexpr uint64_t kComesAtOnce = 8;                // that need no pause
constexpr uint64_t kHelloPauseNs = 50'000'000;      // the first; they double
constexpr uint32_t kFirstPings = 3;                 // to learn the round trip before it is needed
constexpr uint32_t kMaxFrame = 65000;               // so that a piece's length fits 16 bits

// Later on a clock that wraps.
bool newer(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) > 0;
}

// Where the changing part of the connection ids starts, so that two lives of a node differ.
uint32_t mix(uint64_t seed, uint64_t epoch) {
  uint64_t x = (seed ^ epoch * 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
  x ^= x >> 31;
  return static_cast<uint32_t>(x);
}

// Into how many packets the contents of one may have to be cut when the path becomes narrower: by
// size, and twice that where messages don't fill frames.
size_t cuts(uint32_t max_frame) {
  return 2 * (max_frame / (kHelloFrameSize / 2) + 1);
}

}  // namespace

Link::Link(const LinkConfig& config)
    : config_(config),
      limit_(std::clamp<uint32_t>(config.max_frame, kHelloFrameSize, kMaxFrame)),
      congestion_({.on = config.congestion, .queue_ns = config.queue_ns, .most = config.window}),
      packets_(std::bit_floor(std::clamp<uint32_t>(config.window, 1, kAckBits))),
      spread_(config.source_ports),
      again_(std::bit_ceil(packets_.window() * cuts(limit_))),
      out_(config.max_lanes),
      in_(config.max_lanes),
      round_(std::bit_ceil(size_t{config.max_lanes})) {
  config_.max_frame = limit_;
  assert(config.index < 4096 && config.self_epoch != 0);
  touched_.reserve(config.max_lanes);
  giving_.reserve(config.max_lanes);
  relay_.reserve(config.max_lanes);
}

void Link::start(uint64_t now) {
  if (state_ != LinkState::kIdle) return;
  begin_connection(now);
}

void Link::begin_connection(uint64_t now) {
  state_ = LinkState::kConnecting;
  stats_.connected.store_relaxed(0);
  const bool first = connections_ == 0;
  do {
    connections_++;
    const uint32_t part = (mix(config_.seed, config_.self_epoch) + connections_) & 0xfff;
    connection_ = connection_id(config_.worker, part << 12 | config_.index);
  } while (connection_ == 0);  // names none: a HELLO is for whom it says
  // A later connection has a later nonce, that of another Link to the same peer included.
  const auto clock = static_cast<uint32_t>(now >> 20) | 1u;
  nonce_ = first || newer(clock, nonce_) ? clock : nonce_ + 1;
  cookie_ = 0;
  offer_ = std::max(now, offer_ + 1);
  held_ = session_;
  peer_ = {};
  limit_ = config_.max_frame;
  next_packet_ = config_.first_packet;
  if (!first) spread_.change_all(next_packet_);
  packets_.reset();
  received_ = ReceivedPackets(!spread_.reorders());
  rtt_ = {};
  probes_ = probes_owed_ = credit_probes_ = 0;
  send_hello_ = send_hello_ack_ = send_ack_ = send_pong_ = send_ping_ = false;
  ping_flags_ = 0;
  ping_token_ = 0;
  alive_at_ = lost_at_ = probe_at_ = credit_probe_at_ = credit_look_at_ = kNever;
  mtu_.stop();
  size_token_ = 0;
  congestion_.reset();
  stats_.window.store_relaxed(congestion_.packets());
  allowed_ = kNever;
  pace_at_ = newest_ack_ = marks_known_ = marks_ = 0;
  hello_at_ = now;
  hellos_ = 0;
  // A session is worth a call more often; and a pause must not look like a stall of our own.
  hello_pause_ = session_ == 0 ? kHelloPauseNs : std::min(kHelloPauseNs, silence_ns() / 4);
}

Hello Link::hello(uint32_t nonce) const {
  return {.path = config_.path,
          .max_frame = static_cast<uint16_t>(config_.max_frame),
          .node = config_.self_id,
          .epoch = config_.self_epoch,
          .peer_epoch = known_epoch_,
          .connection = connection_,
          .nonce = nonce,
          .cookie = cookie_,
          .session = held_,
          .offer = offer_};
}

// What is wrong with a HELLO or HELLO_ACK, whatever the state.
Drop Link::check_hello(const Hello& h, uint64_t now) {
  if (h.node != config_.peer_id || h.path != config_.path) return Drop::kUnknownPeer;
  if (h.protocol != kProtocol) {
    refuse(h, LinkClose::kVersion, now);
    refused(LinkEvent::kPeerVersion, LinkClose::kVersion, now);
    return Drop::kBadVersion;
  }
  if (h.connection == 0 || h.max_frame < kHelloFrameSize || h.epoch == 0 || h.offer == 0)
    return Drop::kBadFrame;
  if (h.epoch < known_epoch_) {
    refuse(h, LinkClose::kReplaced, now);
    return Drop::kStaleEpoch;
  }
  if (h.peer_epoch > config_.self_epoch) {
    refused(LinkEvent::kStaleHere, LinkClose::kReplaced, now);
    return Drop::kStaleEpoch;
  }
  return events_full() ? Drop::kNoBuffer : Drop::kNone;
}

Drop Link::on_hello(std::span<const std::byte> body, uint64_t now) {
  const auto h = parse_hello(body);
  if (!h) return Drop::kBadFrame;
  if (const Drop d = check_hello(*h, now); d != Drop::kNone) return d;
  const bool same_epoch = h->epoch == known_epoch_;
  if (same_epoch && known_nonce_ != 0 && newer(known_nonce_, h->nonce)) return Drop::kStaleEpoch;
  if (state_ == LinkState::kUp) {
    const bool restarted = h->epoch > peer_.epoch;
    if (restarted || h->connection != peer_.connection) {
      if (!restarted && h->session == session_) {
        reconnect(now);
      } else {
        go_down(restarted ? LinkEvent::kPeerRestarted : LinkEvent::kPeerReset, LinkClose::kUnknown,
                now);
      }
    }
  }
  if (state_ == LinkState::kConnecting) accept(*h);
  if (same_epoch && known_nonce_ == h->nonce)
    spread_.call_by_another(next_packet_);  // our answer was lost
  known_epoch_ = h->epoch;
  known_nonce_ = h->nonce;
  send_hello_ack_ = true;
  hello_ack_nonce_ = h->nonce;
  return Drop::kNone;
}

// We are asked to show that what is sent to us comes here: the same HELLO again, with the cookie.
// Once for each: a peer that takes no cookie must not make us call without end.
Drop Link::on_retry(std::span<const std::byte> body) {
  const auto r = parse_retry(body);
  if (!r) return Drop::kBadFrame;
  if (state_ != LinkState::kConnecting || r->nonce != nonce_) return Drop::kStaleEpoch;
  if (r->cookie == cookie_) return Drop::kDuplicate;
  cookie_ = r->cookie;
  send_hello_ = true;
  return Drop::kNone;
}

Drop Link::on_hello_ack(const HopHeader& hop, std::span<const std::byte> body, uint64_t now) {
  const auto h = parse_hello_ack(body);
  if (!h) return Drop::kBadFrame;
  if (hop.incarnation != static_cast<uint16_t>(h->epoch)) return Drop::kStaleEpoch;
  if (const Drop d = check_hello(*h, now); d != Drop::kNone) return d;
  if (h->nonce != nonce_) return Drop::kStaleEpoch;
  if (state_ == LinkState::kUp) return Drop::kDuplicate;
  if (!may_come_up(now)) return Drop::kNoBuffer;
  accept(*h);
  if (h->epoch != known_epoch_) known_nonce_ = 0;
  known_epoch_ = h->epoch;
  come_up(now);
  return Drop::kNone;
}

// The peer, as this connection will know it.
void Link::accept(const Hello& h) {
  peer_ = {h.epoch, h.session, h.offer, h.connection};
  limit_ = std::min<uint32_t>(config_.max_frame, h.max_frame);
}

// Each costs our caller memory and work, and the peer a HELLO and a PING.
bool Link::may_come_up(uint64_t now) const {
  return !events_full() && spent_until_ <= now + (kComesAtOnce - 1) * kComePauseNs;
}

void Link::come_up(uint64_t now) {
  state_ = LinkState::kUp;
  stats_.connected.store_relaxed(1);
  spent_until_ = std::max(spent_until_, now) + kComePauseNs;
  send_hello_ = false;
  hello_at_ = kNever;
  mtu_.reset(kHelloFrameSize, limit_, now);
  stats_.frame.store_relaxed(mtu_.size());
  send_ping_ = true;  // the peer may wait for it to be up; and it is the first sample
  pings_left_ = kFirstPings - 1;
  last_heard_ = now;
  heartbeats_ = 0;
  alive_at_ = now + silence_ns();
  if (held_ == 0 || peer_.session != held_ || peer_.epoch != session_epoch_) return begin_session();
  stats_.reconnects.add(1);
  in_.for_each([this](InLane& lane) { owe(&lane); });  // what we granted last may not have arrived
  arm_credit_probe(now);
}

void Link::begin_session() {
  if (session_ != 0) {
    const bool restarted = peer_.epoch > session_epoch_;
    end_session(restarted ? LinkEvent::kPeerRestarted : LinkEvent::kPeerReset, LinkClose::kUnknown);
  }
  session_ = config_.self_id < config_.peer_id ? offer_ : peer_.offer;
  session_epoch_ = peer_.epoch;
  stats_.sessions.add(1);
  push({.kind = LinkEvent::kUp, .peer_epoch = session_epoch_, .session = session_});
}

void Link::end_session(LinkEvent::Why why, LinkClose close) {
  push({LinkEvent::kDown, why, close, session_epoch_, session_});
  session_ = 0;
  detach_all();
}

void Link::go_down(LinkEvent::Why why, LinkClose close, uint64_t now) {
  end_session(why, close);
  begin_connection(now);
}

// The connection is over and the session is not. What was on its way goes once more in the next; as
// it keeps its positions and places, what has arrived of it is known there.
void Link::reconnect(uint64_t now) {
  packets_.each_in_flight([this](const SentPacket& p) {
    if (LinkRelay::wanted(p.what)) again(p.what);
  });
  begin_connection(now);
}

void Link::close(LinkClose reason, uint64_t now) {
  if (state_ == LinkState::kClosed) return;
  if (peer_.connection != 0) {
    close_ = {reason, 0};
    close_connection_ = peer_.connection;
    send_close_ = true;
  }
  if (session_ != 0) go_down(LinkEvent::kClosedHere, reason, now);
  state_ = LinkState::kClosed;
  stats_.connected.store_relaxed(0);
  send_hello_ = false;
}

void Link::fence(uint64_t epoch, uint64_t now) {
  if (epoch <= known_epoch_ || state_ == LinkState::kClosed) return;
  known_epoch_ = epoch;
  known_nonce_ = 0;
  if (session_ != 0) return go_down(LinkEvent::kPeerRestarted, LinkClose::kReplaced, now);
  if (state_ == LinkState::kConnecting) begin_connection(now);  // one that it had called us for
}

Drop Link::on_close(const HopHeader& hop, std::span<const std::byte> body, uint64_t now) {
  const auto c = parse_close(body);
  if (!c) return Drop::kBadFrame;
  const bool refusal = c->reason == LinkClose::kVersion || c->reason == LinkClose::kReplaced;
  if (state_ == LinkState::kUp || (session_ != 0 && !refusal)) {
    if (hop.incarnation != static_cast<uint16_t>(session_epoch_)) return Drop::kStaleEpoch;
    if (events_full()) return Drop::kNoBuffer;
    go_down(LinkEvent::kPeerClosed, c->reason, now);
    hello_at_ = now + kHelloPauseNs;
    return Drop::kNone;
  }
  if (c->reason == LinkClose::kVersion) refused(LinkEvent::kPeerVersion, c->reason, now);
  if (c->reason == LinkClose::kReplaced) refused(LinkEvent::kStaleHere, c->reason, now);
  return Drop::kNone;
}

// Tells the sender of a HELLO why not, at most once a second.
void Link::refuse(const Hello& h, LinkClose reason, uint64_t now) {
  if (now < refuse_at_ || h.connection == 0) return;
  refuse_at_ = now + kAnswerPauseNs;
  close_ = {reason, reason == LinkClose::kVersion ? uint32_t{kProtocol} : 0};
  close_connection_ = h.connection;
  send_close_ = true;
}

// Tells our caller why there is no session, at most once a second.
void Link::refused(LinkEvent::Why why, LinkClose close, uint64_t now) {
  if (now < refused_at_ || state_ != LinkState::kConnecting || events_full()) return;
  refused_at_ = now + kAnswerPauseNs;
  push({LinkEvent::kRefused, why, close, known_epoch_, 0});
}

bool Link::next_event(LinkEvent& out) {
  if (!has_event()) return false;
  out = events_[events_head_++ % events_.size()];
  return true;
}

}  // namespace penstock
