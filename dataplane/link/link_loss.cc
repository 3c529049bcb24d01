// What the peer acknowledges and grants, what is lost, and the timers of a session.
#include <algorithm>
#include <utility>

#include "dataplane/link/link.h"

namespace penstock {
namespace {

constexpr uint32_t kDoublings = 6;
constexpr uint32_t kHeartbeatDoublings = 16;
constexpr uint32_t kHellosOneWay = 2;  // unanswered; each further one goes by another source port
constexpr uint32_t kSilence = 3;       // probe timeouts in a row
constexpr uint64_t kLastProbePauseNs = 1'000'000'000;
constexpr uint32_t kCreditDoublings = 7;
constexpr uint64_t kLastCreditProbeNs = 100'000'000;
constexpr size_t kCreditLooks = 8;           // lanes a look
constexpr uint64_t kLastLookNs = 5'000'000;  // pause between looks at readers that don't move
constexpr uint64_t kIdleDelays = 4;          // ACK delays without contents: the lanes are idle
constexpr uint64_t kLastHelloPauseNs = 1'000'000'000;

}  // namespace

Drop Link::on_ack(std::span<const std::byte> body, uint64_t now) {
  const auto f = parse_ack(body);
  if (!f || f->ack.largest >= next_packet_) return Drop::kBadFrame;
  stats_.acks_in.add(1);
  Congestion::Acked acked;
  acked.window_used = packets_.in_flight() >= congestion_.packets();
  uint64_t sent_at = 0;
  using State = SentPacket::State;
  const bool largest = packets_.on_ack(f->ack, sent_at, [&](const SentPacket& p, State was) {
    acked.packets++;
    mtu_.acked(p.packet, p.bytes);
    spread_.acked(p.port, p.packet, p.bytes);
    if (was != State::kInFlight) stats_.spurious.add(1);
    if (was == State::kLost) {
      rtt_.late(now - std::min(now, p.at));
      congestion_.on_late();
    }
    if (p.what.lane == nullptr) {
      if (p.what.carry == Carry::kRelayed && was == State::kInFlight) relay_.done(p.what, true);
      return;
    }
    p.what.lane->acked(p.what);
    settle(p.what.lane);
  });
  if (largest && now >= sent_at) {
    const uint64_t delay = uint64_t{f->ack.delay} << kTickShift;
    sample(now - sent_at, std::min(delay, config_.ack_delay_ns));
    acked.round_ns = std::max<uint64_t>(now - sent_at, 1);
    acked.hosts_ns = delay + (uint64_t{f->ack.waited} << kTickShift) + note_.waited_ns;
  }
  if (acked.packets != 0) probes_ = probes_owed_ = 0;
  find_lost(now);
  acked.marked = std::min(take_latest(f->ack), acked.packets);
  acked.smooth_ns = rtt_.smoothed();
  congestion_.on_ack(acked, now);
  stats_.window.store_relaxed(congestion_.packets());
  on_credits(f->credits, now);
  for (OutLane* lane : touched_) {
    lane->touched_ = false;
    lane->settle();
  }
  touched_.clear();
  arm_probe();
  return Drop::kNone;
}

// What only the latest ACK says: how many we may send, which may be fewer than before. Returns the
// number of packets that were marked since the one before.
uint32_t Link::take_latest(const Ack& a) {
  if (a.largest < newest_ack_) return 0;
  newest_ack_ = a.largest;
  allowed_ = a.allowed == kAnyNumber ? kNever : a.largest + a.allowed;
  return a.marked - std::exchange(marks_known_, a.marked);
}

void Link::sample(uint64_t round_ns, uint64_t delay_ns) {
  rtt_.sample(round_ns, delay_ns);
  stats_.srtt_ns.store_relaxed(rtt_.smoothed());
  stats_.min_rtt_ns.store_relaxed(rtt_.min());
}

// Once for all that an ACK says of a lane.
void Link::settle(OutLane* lane) {
  if (lane->touched_) return;
  lane->touched_ = true;
  touched_.push_back(lane);
}

void Link::on_credits(const CreditView& credits, uint64_t now) {
  bool more = false;
  for (size_t i = 0; i < credits.size(); i++) {
    const Credit c = credits[i];
    const auto* e = out_.find(c.alias);
    if (e == nullptr || e->lane == nullptr || e->epoch != c.epoch) continue;
    OutLane* lane = e->lane;
    if (!lane->on_credit(c)) continue;
    settle(lane);
    if (lane->state_ != OutLane::State::kBlocked) continue;
    more = true;
    blocked_--;
    activate(lane);
  }
  if (!more) return;
  credit_probes_ = 0;
  credit_probe_at_ = kNever;
  arm_credit_probe(now);
}

void Link::find_lost(uint64_t now) {
  lost_at_ = packets_.find_lost(now, rtt_.loss_delay(), [this, now](const SentPacket& p) {
    stats_.lost.add(1);
    congestion_.on_lost(1);
    look_at_way(p, now);
    if (LinkRelay::wanted(p.what)) again(p.what);
  });
}

// Only large packets vanish: the path has become narrower. All by one source port do: its way is
// no good.
void Link::look_at_way(const SentPacket& p, uint64_t now) {
  if (spread_.lost(p.port, p.packet, p.bytes, next_packet_)) stats_.rerouted.add(1);
  if (!mtu_.lost(p.packet, p.bytes, now)) return;
  stats_.narrowed.add(1);
  stats_.frame.store_relaxed(mtu_.size());
}

// Nothing was heard for too long: the last packets, or all ACKs, are lost. The two oldest go again;
// the rest is not given up, and the window stays.
void Link::probe(uint64_t now) {
  if (++probes_ >= kSilence) congestion_.on_silence();
  for (int i = 0; i < 2; i++) {
    const SentPacket* p = packets_.probe();
    if (p == nullptr) break;
    stats_.probes.add(1);
    look_at_way(*p, now);
    if (!LinkRelay::wanted(p->what)) continue;
    again(p->what);
    probes_owed_++;
  }
}

void Link::arm_probe() {
  stats_.in_flight.store_relaxed(packets_.in_flight());
  if (packets_.in_flight() == 0) {
    probe_at_ = kNever;
    return;
  }
  const uint64_t timeout = rtt_.probe_timeout(config_.min_pto_ns);
  const uint64_t pause = timeout << std::min(probes_, kDoublings);
  probe_at_ = packets_.last_at() + std::min(pause, std::max(timeout, kLastProbePauseNs));
}

// A lane waits for credit. What told us of it may be lost, so ask now and then.
void Link::arm_credit_probe(uint64_t now) {
  if (blocked_ == 0 || credit_probe_at_ != kNever) return;
  const uint64_t timeout = rtt_.probe_timeout(config_.min_pto_ns);
  const uint64_t pause = timeout << std::min(credit_probes_, kCreditDoublings);
  credit_probe_at_ = now + std::min(pause, std::max(timeout, kLastCreditProbeNs));
}

void Link::run_timers(uint64_t now) {
  if (state_ == LinkState::kConnecting && now >= hello_at_) {
    send_hello_ = true;
    if (++hellos_ > kHellosOneWay) spread_.call_by_another(next_packet_);
    hello_at_ = now + hello_pause_;
    if (session_ == 0) hello_pause_ = std::min(2 * hello_pause_, kLastHelloPauseNs);
  }
  if (now >= lost_session_at()) return go_down(LinkEvent::kSilent, LinkClose::kSilent, now);
  if (state_ != LinkState::kUp) return;
  if (now >= alive_at_ && !look_alive(now)) return reconnect(now);
  if (now >= relay_.chains_at()) relay_.look_at_chains(now);
  if (now >= lost_at_) find_lost(now);
  if (now >= probe_at_) {
    probe(now);
    arm_probe();
  }
  if (now >= credit_probe_at_) {
    credit_probe_at_ = kNever;
    credit_probes_++;
    arm_credit_probe(now);
    if (blocked_ != 0) {
      send_ping_ = true;
      ping_flags_ = kHopAckNow;
      stats_.credit_probes.add(1);
    }
  }
  if (now >= credit_look_at_) look_at_credits(now);
}

// Heartbeats: while something comes there are none; behind a silence one, and when it stays
// unanswered more, ever more slowly. False: the connection is no good. The session may be.
bool Link::look_alive(uint64_t now) {
  const uint64_t suspect_at = last_heard_ + config_.dead_after_ns / 2;
  if (now >= suspect_at) return false;
  if (now < last_heard_ + silence_ns()) {
    heartbeats_ = 0;
    alive_at_ = last_heard_ + silence_ns();
    return true;
  }
  send_ping_ = true;
  const uint64_t pause = rtt_.probe_timeout(config_.min_pto_ns)
                         << std::min(heartbeats_++, kHeartbeatDoublings);
  alive_at_ = std::min(now + std::min(pause, silence_ns() / 4), suspect_at);
  return true;
}

// Readers that let go of a good part while nothing came: the peer may wait for it.
void Link::look_at_credits(uint64_t now) {
  const bool idle = now - last_contents_ > kIdleDelays * config_.ack_delay_ns;
  bool grew = false;
  for (size_t i = std::min(giving_.size(), kCreditLooks); i > 0; i--) {
    if (giving_at_ >= giving_.size()) giving_at_ = 0;
    InLane* lane = giving_[giving_at_++];
    if (!lane->credit_grew(idle)) continue;
    owe(lane);
    grew = true;
  }
  credit_pause_ = grew ? credit_pause_ : std::min(2 * credit_pause_, kLastLookNs);
  credit_look_at_ = giving_.empty() ? kNever : now + credit_pause_;
}

}  // namespace penstock
