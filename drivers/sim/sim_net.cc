#include "drivers/sim/sim_net.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock {

SimPort& SimNet::add_port(const SimPortConfig& config) {
  const size_t i = ports_.size();
  ports_.push_back(std::make_unique<SimPort>(*this, i, seed_ * 0x9e3779b97f4a7c15 + i + 1, config));
  return *ports_.back();
}

void SimNet::note(uint64_t word) {
  trace_ = (trace_ ^ word) * 0x100000001b3;
}

void SimNet::send(SimPort& from, std::vector<std::byte> bytes) {
  const bool lost = from.loses() || bytes.size() < 14;
  note(now_);
  note(bytes.size() << 1 | (lost ? 1 : 0));
  for (size_t at = 0; at < bytes.size(); at++)
    note(static_cast<uint64_t>(bytes[at]));
  if (lost) {
    from.lost_++;
    return;
  }
  size_t to = ports_.size();
  for (size_t i = 0; i < ports_.size(); i++)
    if (std::memcmp(bytes.data(), ports_[i]->info().mac.data(), 6) == 0) to = i;
  for (size_t i = 0; i < ports_.size(); i++)
    if (i != from.index_ && (to == ports_.size() || to == i)) put_in_air(from, i, bytes);
}

void SimNet::put_in_air(SimPort& from, size_t to, const std::vector<std::byte>& bytes) {
  const SimFaults& f = from.faults;
  const int copies = from.chance(f.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; i++) {
    uint64_t due = now_ + f.delay_ns;
    if (f.jitter_ns != 0) due += from.random() % f.jitter_ns;
    if (from.chance(f.reorder)) due += f.reorder_ns;
    InAir frame{due, order_++, to, bytes};
    if (from.chance(f.damage)) {
      // Behind the addresses, or the switch would have delivered it elsewhere.
      const uint64_t bit = 14 * 8 + from.random() % ((bytes.size() - 13) * 8);
      const size_t at = std::min<size_t>(bit / 8, bytes.size() - 1);
      frame.bytes[at] ^= std::byte{static_cast<uint8_t>(1u << (bit % 8))};
    }
    note(due);
    air_.push(std::move(frame));
  }
}

void SimNet::advance(uint64_t now) {
  now_ = std::max(now_, now);
  while (!air_.empty() && air_.top().due <= now_) {
    // top() is const only to protect the order, which pop() ends.
    InAir& frame = const_cast<InAir&>(air_.top());
    SimPort& to = *ports_[frame.to];
    std::vector<std::byte> bytes = std::move(frame.bytes);
    air_.pop();
    to.deliver(std::move(bytes));
  }
  for (const auto& p : ports_)
    p->give_back(now_);
}

uint64_t SimNet::next_event() const {
  uint64_t next = air_.empty() ? ~uint64_t{0} : air_.top().due;
  for (const auto& p : ports_)
    if (!p->sending_.empty()) next = std::min(next, p->sending_.front().done_at);
  return next;
}

size_t SimNet::held() const {
  size_t n = 0;
  for (const auto& p : ports_)
    n += p->held();
  return n;
}

}  // namespace penstock
