#include "drivers/sim/sim_net.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

using Bytes = std::vector<std::byte>;

constexpr size_t kEthernet = 14;

// One bit behind the addresses, or the switch would have delivered it elsewhere.
void damage(Bytes& frame, uint64_t random) {
  const uint64_t bit = kEthernet * 8 + random % ((frame.size() - kEthernet + 1) * 8);
  const size_t at = std::min<size_t>(bit / 8, frame.size() - 1);
  frame[at] ^= std::byte{static_cast<uint8_t>(1u << (bit % 8))};
}

// Swaps two different bits that weigh the same in a sum of 16-bit words: RFC 1071 sees nothing.
void forge(Bytes& frame, uint64_t random) {
  const size_t words = (frame.size() - kEthernet) / 2;
  const size_t first = random / 16 % std::max<size_t>(words, 1);
  for (uint64_t k = 0; k < 16 * words; k++) {
    const uint64_t bit = (random + k / words) % 16;
    const size_t second = (first + k) % words;
    const std::byte mask{static_cast<uint8_t>(1u << (bit % 8))};
    std::byte& one = frame[kEthernet + 2 * first + bit / 8];
    std::byte& other = frame[kEthernet + 2 * second + bit / 8];
    if ((one & mask) == (other & mask)) continue;
    one ^= mask;
    other ^= mask;
    return;
  }
}

// Sets "congestion experienced" in an IP header that allows it (RFC 3168), and mends the checksum
// (RFC 1624).
bool mark(Bytes& frame) {
  if (frame.size() < kEthernet + 20) return false;
  const auto u8 = [&](size_t at) { return std::to_integer<unsigned>(frame[at]); };
  const unsigned type = u8(12) << 8 | u8(13);
  std::byte* ip = frame.data() + kEthernet;
  if (type == 0x86dd) {
    if ((std::to_integer<unsigned>(ip[1]) & 0x30) == 0) return false;
    ip[1] |= std::byte{0x30};
    return true;
  }
  const unsigned old = std::to_integer<unsigned>(ip[1]);
  if (type != 0x0800 || (old & 3) == 0) return false;
  ip[1] |= std::byte{3};
  const unsigned more = (old | 3) - old;
  unsigned sum = u8(kEthernet + 10) << 8 | u8(kEthernet + 11);
  sum = sum >= more ? sum - more : sum + 0xffff - more;
  ip[10] = std::byte{static_cast<uint8_t>(sum >> 8)};
  ip[11] = std::byte{static_cast<uint8_t>(sum)};
  return true;
}

}  // namespace

SimPort& SimNet::add_port(const SimPortConfig& config) {
  const size_t i = ports_.size();
  ports_.push_back(std::make_unique<SimPort>(*this, i, seed_ * 0x9e3779b97f4a7c15 + i + 1, config));
  return *ports_.back();
}

void SimNet::note(uint64_t word) {
  trace_ = (trace_ ^ word) * 0x100000001b3;
}

void SimNet::join(const SimPort& from, const SimPort& to, bool joined) {
  if (joined) {
    parted_.erase({from.index_, to.index_});
  } else {
    parted_.insert({from.index_, to.index_});
  }
}

void SimNet::send(SimPort& from, std::vector<std::byte> bytes) {
  const bool lost = from.loses(bytes.size()) || bytes.size() < kEthernet;
  note(now_);
  note(bytes.size() << 1 | (lost ? 1 : 0));
  for (size_t at = 0; at < bytes.size(); at++)
    note(static_cast<uint64_t>(bytes[at]));
  if (lost) {
    from.done_.lost++;
    return;
  }
  size_t to = ports_.size();
  for (size_t i = 0; i < ports_.size(); i++)
    if (std::memcmp(bytes.data(), ports_[i]->info().mac.data(), 6) == 0) to = i;
  for (size_t i = 0; i < ports_.size(); i++)
    if (i != from.index_ && (to == ports_.size() || to == i)) put_in_air(from, i, bytes);
}

// Where the addresses of a frame begin and its ports end; no IP: nowhere.
SimNet::Flow SimNet::flow_of(const std::vector<std::byte>& bytes) {
  if (bytes.size() < kEthernet + 24) return {};
  const bool v4 = bytes[12] == std::byte{0x08} && bytes[13] == std::byte{0x00};
  const bool v6 = bytes[12] == std::byte{0x86} && bytes[13] == std::byte{0xdd};
  const Flow f{kEthernet + (v4 ? 12u : 8u), kEthernet + (v4 ? 20u : 40u) + 4};
  return (v4 || v6) && bytes.size() >= f.end ? f : Flow{};
}

bool SimNet::walled_off(const std::vector<std::byte>& bytes) const {
  const Flow f = flow_of(bytes);
  if (let_through == 0 || f.end == 0) return false;
  const auto high = static_cast<uint16_t>(bytes[f.end - 4]);
  const auto low = static_cast<uint16_t>(bytes[f.end - 3]);
  return static_cast<uint16_t>(high << 8 | low) != let_through;
}

const SimNet::Way* SimNet::way_of(const std::vector<std::byte>& bytes) const {
  const auto [begin, end] = flow_of(bytes);
  if (ways.empty() || end == 0) return nullptr;
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t at = begin; at < end; at++)
    hash = (hash ^ static_cast<uint64_t>(bytes[at])) * 0x100000001b3;
  return &ways[(hash ^ hash >> 32) % ways.size()];
}

void SimNet::put_in_air(SimPort& from, size_t to, const std::vector<std::byte>& bytes) {
  const Way* way = way_of(bytes);
  if ((way != nullptr && way->dark) || walled_off(bytes) ||
      (!parted_.empty() && parted_.contains({from.index_, to}))) {
    from.done_.lost++;
    return;
  }
  const SimFaults& f = from.faults;
  const int copies = from.chance(f.duplicate) ? 2 : 1;
  from.done_.doubled += copies == 2;
  for (int i = 0; i < copies; i++) {
    uint64_t due = std::max(now_, from.up_free_) + f.delay_ns;
    if (way != nullptr) due += way->delay_ns;
    if (f.jitter_ns != 0) due += from.random() % f.jitter_ns;
    if (from.chance(f.reorder)) {
      due += f.reorder_ns;
      from.done_.reordered++;
    }
    InAir frame{due, order_++, to, true, bytes};
    if (from.chance(f.damage)) {
      damage(frame.bytes, from.random());
      from.done_.damaged++;
    }
    if (from.chance(f.forge)) {
      forge(frame.bytes, from.random());
      from.done_.forged++;
    }
    note(due);
    air_.push(std::move(frame));
  }
}

// A frame comes to the buffer in front of a cable: it waits there for those before it.
void SimNet::pass_switch(InAir&& frame) {
  SimPort& to = *ports_[frame.to];
  const uint64_t wait = to.down_free_ > frame.due ? to.down_free_ - frame.due : 0;
  const size_t queued = wait * to.config_.gbps / 8;
  if (queued + frame.bytes.size() > to.config_.switch_room) {
    note(~frame.order);
    to.overflowed_++;
    return;
  }
  if (queued >= to.config_.mark_at && mark(frame.bytes)) to.marked_++;
  to.down_free_ = frame.due + wait + to.wire_ns(frame.bytes.size());
  frame.due = to.down_free_;
  frame.at_switch = false;
  air_.push(std::move(frame));
}

void SimNet::advance(uint64_t now) {
  now_ = std::max(now_, now);
  while (!air_.empty() && air_.top().due <= now_) {
    // top() is const only to protect the order, which pop() ends.
    InAir frame = std::move(const_cast<InAir&>(air_.top()));
    air_.pop();
    if (frame.at_switch) {
      pass_switch(std::move(frame));
    } else {
      ports_[frame.to]->deliver(std::move(frame.bytes));
    }
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

SimFaultCounts SimNet::done() const {
  SimFaultCounts n;
  for (const auto& p : ports_)
    n.add(p->done_);
  return n;
}

size_t SimNet::held() const {
  size_t n = 0;
  for (const auto& p : ports_)
    n += p->held();
  return n;
}

}  // namespace penstock
