#include "dataplane/link/chain.h"

#include "dataplane/link/link.h"
#include "dataplane/wire/relay.h"

namespace penstock {

void ChainSeat::attach(Link* link) {
  if (chain_.seats_.size() == Chain::kSeats) return;
  chain_.seats_.push_back(this);
  id_ = chain_.next_id_++;
  link_ = link;
  begun_ = next_source_ = landed_position_ = landed_ = avoid_until_ = alone_until_ = 0;
  usual_ = nullptr;
  urgent_ = waiting_ = false;
  look_at_ = kNever;
}

// What others were to get from there goes from here.
void ChainSeat::detach() {
  if (link_ == nullptr) return;
  const uint64_t now = link_->last_call_;
  for (uint64_t i = first(); i != begun_; i++)
    leave_upstream(*in_ring(i));
  std::erase(chain_.seats_, this);
  if (chain_.root_ == this) chain_.root_ = nullptr;
  link_ = nullptr;
  fall_back_from(this, now);
  wake_waiting();
}

ChainSeat::Large* ChainSeat::find(uint64_t position) {
  for (uint64_t i = begun_; i != first(); i--)
    if (in_ring(i - 1)->position == position) return in_ring(i - 1);
  return nullptr;
}

// Bytes of the message that are known to be at the peer.
uint64_t ChainSeat::have(uint64_t position) const {
  if (position < lane_.delivered_) return kNever;
  const OutLane::SentMessage& s = lane_.record(position);
  if (s.kind != OutLane::Kind::kPieces || s.left == 0) return kNever;
  const uint64_t missing = uint64_t{s.left} * kArenaAlign;
  return s.len - std::min(s.len, missing);
}

bool ChainSeat::done(const Large& l) const {
  return have(l.position) == kNever;
}

bool ChainSeat::relayed(const Large& l) const {
  return (l.mode == Mode::kOwed || l.mode == Mode::kPassed) && !done(l);
}

// The peer's mirror still has it, as far as this side has sent.
bool ChainSeat::holds(const Large& l) const {
  uint64_t fill = lane_.fill_;
  if (lane_.piece_at_ != 0) {
    const OutLane::SentMessage& s = lane_.record(lane_.next_);
    fill = s.arena + s.len;
  }
  return fill <= l.arena + lane_.arena_size_;
}

// Who has the message, or gets it, and passes it to fewest others: the same as ever, or the latest.
// What is to be put on has to be in memory that its device knows.
ChainSeat::Large* ChainSeat::upstream(const Message& m, bool puts, uint64_t now,
                                      ChainSeat*& seat) const {
  constexpr uint32_t kChildren = 2;  // of one message
  Large* best = nullptr;
  for (ChainSeat* s : chain_.seats_) {
    if (s == this || s->avoid_until_ > now || (puts && m.len < s->lane_.puts_from_)) continue;
    for (uint64_t i = s->begun_; i != s->first(); i--) {
      Large* l = s->in_ring(i - 1);
      if (l->source != m.position) continue;
      if (puts && !l->puts) break;  // its digest may yet prove it wrong there
      const uint32_t most = best != nullptr ? best->children : kChildren - 1;
      if (l->children > most || !s->holds(*l)) break;
      best = l;
      seat = s;
      if (s == usual_ && l->children == 0) return best;
      break;
    }
  }
  return best;
}

bool ChainSeat::somebody_sends(uint64_t now) const {
  const ChainSeat* root = chain_.root_;
  return root != nullptr && root != this && root->avoid_until_ <= now && root->lane_.sending();
}

// One lane sends what none has sent, as long as it can: who gets from two sides at once is slowed
// down by each of them. For the same reason a lane waits for its usual relay. But not for long.
ChainSeat::Step ChainSeat::step(const Message& m, bool puts) {
  if (link_ == nullptr || !large(m.len)) return Step::kSend;
  const uint64_t now = link_->last_call_;
  if (puts && now < alone_until_) return Step::kSend;
  const bool room = begun_ < large_.size() || done(*in_ring(begun_));
  const bool patient = !waiting_ || now < waits_until_;
  if (patient && usual_ != nullptr && usual_->gets(m.position, now)) return wait(now);
  ChainSeat* from = nullptr;
  if (room && upstream(m, puts, now, from) != nullptr) {
    waiting_ = false;
    return Step::kAnnounce;
  }
  if (patient && m.position >= chain_.front_ && somebody_sends(now)) return wait(now);
  waiting_ = false;
  return Step::kSend;
}

ChainSeat::Step ChainSeat::wait(uint64_t now) {
  if (!waiting_) waits_until_ = now + kWaitNs;
  waiting_ = true;
  arm(now + kLookNs);
  return Step::kWait;
}

// It has not come to that message, but will soon.
bool ChainSeat::gets(uint64_t source, uint64_t now) const {
  return source >= next_source_ && avoid_until_ <= now && (waiting_ || lane_.sending());
}

void ChainSeat::begun(const Message& m, uint64_t position, uint64_t arena, bool announced,
                      bool puts) {
  if (link_ == nullptr || !large(m.len)) return;
  const uint64_t now = link_->last_call_;
  waiting_ = false;  // a message that could not be put has not asked
  next_source_ = m.position + 1;
  if (!announced) usual_ = nullptr;
  if (!announced && m.position >= chain_.front_) chain_.root_ = this;
  chain_.front_ = std::max(chain_.front_, m.position + 1);
  if (begun_ < large_.size() || done(*in_ring(begun_))) {
    Large& l = *in_ring(begun_);
    l = {};
    l.source = m.position;
    l.position = position;
    l.arena = arena;
    l.len = m.len;
    l.puts = puts;
    l.mine_since = l.theirs_since = l.ahead_since = l.lag_since = l.direct_since = now;
    if (announced) {
      ChainSeat* from = nullptr;
      Large* up = upstream(m, puts, now, from);
      up->children++;
      l.mode = Mode::kOwed;
      l.from = usual_ = from;
      l.from_position = up->position;
      stats_.announced.add(1);
      from->ask();
      arm(now + kLookNs);
    }
    begun_++;
  }
  wake_waiting();
}

void ChainSeat::stopped() {
  if (chain_.root_ == this) wake_waiting();
}

void ChainSeat::wake_waiting() {
  for (ChainSeat* s : chain_.seats_)
    if (s->waiting_) s->link_->wake(&s->lane_);
}

const ChainSeat::Large* ChainSeat::relayed_at(uint64_t position) {
  const Large* l = find(position);
  return l != nullptr && relayed(*l) ? l : nullptr;
}

uint64_t ChainSeat::relay_of(const Large& l) const {
  return l.from->link_->config().peer_id;
}

// Then the rest is put from here, and what comes after it for a while. Nothing else of it is on its
// way: a put must bring no byte that may come otherwise.
void ChainSeat::refused(uint64_t position, uint64_t landed) {
  Large* l = find(position);
  if (link_ == nullptr || l == nullptr || !relayed(*l) || !l->puts) return;
  const uint64_t now = link_->last_call_;
  leave_upstream(*l);
  l->mode = Mode::kDirect;
  l->direct_since = now;
  alone_for_ = std::clamp(2 * alone_for_, kAloneNs, kAvoidNs);
  alone_until_ = now + alone_for_;
  stats_.fell_back.add(1);
  lane_.put_rest(position, landed);
  link_->rouse(&lane_);
}

void ChainSeat::gave_up(uint64_t position) {
  Large* l = find(position);
  if (l == nullptr) return;
  leave_upstream(*l);
  l->source = kNever;
  l->mode = Mode::kDirect;
  l->from = nullptr;
}

// The lane has something to send that no message of its own is.
void ChainSeat::ask() {
  if (link_ == nullptr) return;
  urgent_ = true;
  link_->rouse(&lane_);
}

ChainSeat::Urgent ChainSeat::next_urgent() {
  uint64_t id = 0;
  uint64_t position = 0;
  if (link_ != nullptr && first_pass(id, position)) return Urgent::kPass;
  if (link_ != nullptr && rest() != nullptr) return Urgent::kRest;
  urgent_ = false;
  return Urgent::kNone;
}

bool ChainSeat::first_pass(uint64_t& id, uint64_t& position) {
  for (ChainSeat* s : chain_.seats_) {
    for (uint64_t i = s->first(); i != s->begun_; i++) {
      const Large& l = *s->in_ring(i);
      // Only what make_pass() can say: the message may have come meanwhile, the peer be away.
      if (l.mode != Mode::kOwed || l.from != this || !s->relayed(l)) continue;
      if (!s->link_->up() || find(l.from_position) == nullptr) continue;
      id = s->id_;
      position = l.from_position;
      return true;
    }
  }
  return false;
}

bool ChainSeat::make_pass(uint64_t id, uint64_t position, Pass& out) {
  const Large* mine = find(position);
  for (ChainSeat* s : chain_.seats_) {
    if (s->id_ != id || mine == nullptr || !s->link_->up()) continue;
    for (uint64_t i = s->first(); i != s->begun_; i++) {
      Large& l = *s->in_ring(i);
      if (l.from != this || l.from_position != position || !s->relayed(l)) continue;
      l.mode = Mode::kPassed;
      out = {lane_.alias_,
             lane_.epoch_,
             position,
             mine->arena,
             mine->len,
             s->link_->config().peer_id,
             s->link_->peer_.connection,
             s->lane_.alias_,
             s->lane_.epoch_,
             l.position,
             l.puts};
      return true;
    }
  }
  return false;
}

// The oldest message with something left that has to go from here; rest_at is where.
ChainSeat::Large* ChainSeat::rest() {
  constexpr uint64_t kStretch = 1 << 20;
  for (uint64_t i = first(); i != begun_; i++) {
    Large& l = *in_ring(i);
    if (l.mode != Mode::kRest) continue;
    while (!done(l) && l.rest_at < l.len) {
      const uint64_t left = l.len - l.rest_at;
      const uint64_t run = lane_.blocks_.run(l.arena + l.rest_at, std::min(left, kStretch));
      if (run == 0) return &l;
      l.rest_at += std::min(left, run * kArenaAlign);
    }
    l.mode = Mode::kDirect;
  }
  return nullptr;
}

std::optional<uint32_t> ChainSeat::digest_of(uint64_t position) {
  const Large* mine = find(position);
  // The peer made none over what was put.
  if (mine == nullptr || mine->puts) return std::nullopt;
  for (const ChainSeat* s : chain_.seats_) {
    for (uint64_t i = s->begun_; i != s->first(); i--) {
      const Large& l = s->large_[(i - 1) % s->large_.size()];
      if (l.source != mine->source || s->lane_.next_ - l.position >= s->lane_.ring_.size())
        continue;
      const uint64_t slot = l.position & s->lane_.ring_mask_;
      if (s->lane_.ring_[slot].digested) return s->lane_.digests_[slot];
    }
  }
  return std::nullopt;
}

// It is not, or no longer, passed to this one.
void ChainSeat::leave_upstream(Large& l) {
  if (l.from == nullptr) return;
  Large* up = l.from->find(l.from_position);
  if (up != nullptr && up->children != 0) up->children--;
  l.from = nullptr;
}

void ChainSeat::fall_back(Large& l, uint64_t now) {
  if (l.from != nullptr) l.from->avoid_until_ = now + kAvoidNs;
  leave_upstream(l);
  l.mode = Mode::kRest;
  l.rest_at = 0;
  l.direct_since = now;
  stats_.fell_back.add(1);
  ask();
}

void ChainSeat::fall_back_from(const ChainSeat* relay, uint64_t now) {
  for (ChainSeat* s : chain_.seats_) {
    for (uint64_t i = s->first(); i != s->begun_; i++) {
      Large& l = *s->in_ring(i);
      if (l.from != relay) continue;
      if (s->relayed(l)) s->fall_back(l, now);
      l.from = nullptr;
    }
    if (s->usual_ == relay) s->usual_ = nullptr;
  }
}

void ChainSeat::arm(uint64_t at) {
  look_at_ = std::min(look_at_, at);
  link_->relay_.look_at_chains_by(look_at_);
}

void ChainSeat::look(uint64_t now) {
  look_at_ = kNever;
  bool more = waiting_;
  if (waiting_ && now >= waits_until_) link_->wake(&lane_);
  for (uint64_t i = first(); i != begun_; i++) {
    Large& l = *in_ring(i);
    if (!relayed(l)) continue;
    look_at(l, now);
    more = true;
    break;  // a receiver tells only of the first that it has not got whole
  }
  if (more) arm(now + kLookNs);
}

// It falls back when its relay has more and it does not get it; or when its relay does not get on
// either, though that one is sent to from here. Else it is for another link of the chain to do.
void ChainSeat::look_at(Large& l, uint64_t now) {
  ChainSeat* up = l.from;
  const uint64_t mine = have(l.position);
  const uint64_t theirs = std::min(l.len, up->have(l.from_position));
  if (mine != l.mine) l.mine_since = now;
  if (theirs != l.theirs) l.theirs_since = now;
  l.mine = mine;
  l.theirs = theirs;
  const bool ahead = theirs > mine + (theirs == l.len ? 0 : kSlack);
  if (!ahead) l.ahead_since = now;
  const Large* upper = up->find(l.from_position);
  const bool direct = upper != nullptr && !up->relayed(*upper);
  uint64_t since = std::max(l.mine_since, l.ahead_since);
  if (!ahead && direct) since = std::max({l.mine_since, l.theirs_since, upper->direct_since});
  // By RDMA it comes in large parts, and behind what else is under way.
  uint64_t stall = kStallNs;
  if (l.puts && up->lane_.puts_ != nullptr)
    stall = std::max(stall, 8 * up->lane_.puts_->time_for(l.len));
  if ((ahead || direct) && now - since >= stall) return fall_back_from(up, now);
  // Who is far behind has nobody behind it.
  if (theirs <= mine + kLag) l.lag_since = now;
  if (now - l.lag_since < stall) return;
  avoid_until_ = now + kAvoidNs;
  if (l.puts)
    alone_until_ = avoid_until_;  // or its relay is: it costs less than the others' waiting
  fall_back_from(this, now);
}

}  // namespace penstock
