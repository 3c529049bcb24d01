#include "tests/support/link_rig.h"

#include <algorithm>
#include <cstring>

namespace penstock::test {

LinkRig::LinkRig(const RigConfig& config) : config_(config), net_(config.seed) {
  net_.advance(now_);
  for (size_t i = 0; i < 2; i++)
    sides_[i].port = &net_.add_port(config.port);
  for (size_t i = 0; i < 2; i++)
    make_link(i, 1);
}

LinkRig::~LinkRig() {
  for (Side& s : sides_)
    if (!s.unsent.empty()) s.port->release(s.unsent);
}

void LinkRig::make_link(size_t i, uint64_t epoch) {
  LinkConfig c = config_.link;
  c.self_id = i + 1;
  c.peer_id = 2 - i;
  c.self_epoch = epoch;
  c.worker = static_cast<uint8_t>(i);
  c.index = static_cast<uint32_t>(7 + i);
  c.max_frame = config_.port.max_frame - kEthernet;
  c.seed = config_.seed + i + 2 * starts_[i]++;
  sides_[i].link = std::make_unique<Link>(c);
}

void LinkRig::start() {
  for (Side& s : sides_)
    s.link->start(now_);
}

void LinkRig::restart(size_t i, uint64_t epoch) {
  make_link(i, epoch);
  sides_[i].link->start(now_);
}

Flow& LinkRig::add_flow(size_t from, const FlowConfig& config) {
  flows_.push_back(std::make_unique<Flow>(config));
  from_.push_back(from);
  attached_.push_back({});
  sides_[from].port->map_region(flows_.back()->lane.region());
  for (size_t i = 0; i < 2; i++)
    take_events(i);
  return *flows_.back();
}

void LinkRig::take_events(size_t i) {
  Side& s = sides_[i];
  LinkEvent e;
  while (s.link->next_event(e))
    s.events.push_back(e);
  if (!s.link->up()) return;
  for (size_t f = 0; f < flows_.size(); f++) {
    if (attached_[f][i]) continue;
    attached_[f][i] = true;
    if (from_[f] == i) {
      (void)s.link->add_out(&flows_[f]->out);
    } else {
      (void)s.link->add_in(&flows_[f]->in);
    }
  }
}

void LinkRig::flush(Side& s) {
  const size_t n = s.port->tx_burst(s.unsent);
  s.unsent.erase(s.unsent.begin(), s.unsent.begin() + static_cast<std::ptrdiff_t>(n));
}

bool LinkRig::send(size_t i) {
  Side& s = sides_[i];
  flush(s);
  if (!s.unsent.empty() || !s.link->has_work(now_)) return false;
  std::array<Frame, kBurst> frames;
  const size_t room = s.port->tx_alloc(frames);
  std::array<TxFrame, kBurst> out;
  for (size_t k = 0; k < room; k++)
    out[k] = {.data = frames[k].data + kEthernet, .room = frames[k].room - kEthernet};
  const size_t n = s.link->transmit({out.data(), room}, now_);
  for (size_t k = 0; k < n; k++) {
    Frame& f = frames[k];
    if (tap) tap(i, {out[k].data, out[k].len});
    std::memcpy(f.data, sides_[1 - i].port->info().mac.data(), 6);
    std::memcpy(f.data + 6, s.port->info().mac.data(), 6);
    f.len = out[k].len + kEthernet;
    f.payload = out[k].payload;
    f.payload_len = out[k].payload_len;
    f.region = static_cast<Region*>(out[k].region);
    s.unsent.push_back(f);
  }
  s.port->release({frames.data() + n, room - n});
  flush(s);
  return n != 0;
}

bool LinkRig::turn(size_t i) {
  Side& s = sides_[i];
  if (!s.running) return false;
  std::array<Frame, kBurst> frames;
  const size_t n = s.port->rx_burst(frames);
  for (size_t k = 0; k < n; k++) {
    const Frame& f = frames[k];
    s.link->on_frame(f.data + kEthernet, f.len - kEthernet, f.payload, f.payload_len, now_);
    take_events(i);
  }
  s.port->release({frames.data(), n});
  for (size_t f = 0; f < flows_.size(); f++)
    if (from_[f] == i) s.link->wake(&flows_[f]->out);
  bool sent = false;
  while (send(i))
    sent = true;
  take_events(i);
  return n != 0 || sent;
}

void LinkRig::step() {
  bool busy = false;
  while (application && application())
    busy = true;
  for (size_t i = 0; i < 2; i++)
    busy |= turn(i);
  uint64_t next = now_ + kTurnNs;
  if (!busy) {
    uint64_t event = net_.next_event();
    for (Side& s : sides_)
      if (s.running) event = std::min(event, s.link->next_deadline());
    // Readers and publishers act by themselves, so time never jumps far.
    next = std::clamp(event, next, now_ + 200 * kTurnNs);
  }
  now_ = next;
  net_.advance(now_);
}

bool LinkRig::run_until(const std::function<bool()>& done, uint64_t limit_ns) {
  const uint64_t end = now_ + limit_ns;
  while (!done()) {
    if (now_ >= end) return false;
    step();
  }
  return true;
}

std::string LinkRig::text(size_t i) const {
  const LinkStats& s = sides_[i].link->stats();
  std::string t = "side " + std::to_string(i) + ":";
  const auto say = [&t](const char* what, uint64_t n) {
    if (n != 0) t += std::string(" ") + what + " " + std::to_string(n);
  };
  say("sessions", s.sessions.read());
  say("in", s.rx_frames.read());
  say("out", s.tx_frames.read());
  say("in_flight", s.in_flight.load());
  say("lost", s.lost.read());
  say("probes", s.probes.read());
  say("spurious", s.spurious.read());
  say("credit_probes", s.credit_probes.read());
  say("srtt_ns", s.srtt_ns.load());
  for (size_t d = 0; d < kDrops; d++)
    say(penstock::text(static_cast<Drop>(d)), s.drops.read(static_cast<Drop>(d)));
  return t + "; ";
}

void LinkRig::run_for(uint64_t ns) {
  run_until([] { return false; }, ns);
}

}  // namespace penstock::test
