// Spread: by which of its UDP source ports each packet of a link goes. A network chooses among its
// ways by a hash of addresses and ports (ECMP), so a link with several ports uses several ways at
// once, packet by packet; and a port by which everything vanishes is changed for another, long
// before anybody misses the peer (Protective ReRoute, Wetherall et al., SIGCOMM 2023). Owned by one
// link.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace penstock {

class Spread {
 public:
  static constexpr uint32_t kMost = 16;        // ports at a time
  static constexpr uint32_t kLostInARow = 8;   // and then the port is no good
  static constexpr uint32_t kTwiceInARow = 8;  // that came: what we acknowledge with vanishes

  explicit Spread(uint32_t ports) : ports_(std::clamp<uint32_t>(ports, 1, kMost)) {
    for (uint16_t i = 0; i < kMost; i++)
      all_[i].number = i;
    last_ = static_cast<uint16_t>(ports_ - 1);
  }

  // Whether packets overtake each other without anything being wrong.
  bool reorders() const { return ports_ > 1; }

  // The next packet's.
  uint8_t next() {
    at_ = at_ + 1u == ports_ ? uint8_t{0} : static_cast<uint8_t>(at_ + 1);
    return at_;
  }
  // What distinguishes it on the wire (TxFrame); 0: the one that the path was given.
  uint16_t number(uint8_t port) const { return all_[port].number; }

  // A packet of so many bytes arrived, or did not. A small one does not speak for large ones.
  void acked(uint8_t port, uint64_t packet, uint32_t bytes) {
    Port& p = all_[port];
    if (packet < p.since || bytes < p.lost_bytes) return;
    p.lost = p.lost_bytes = 0;
  }
  // True: too many; packets from `next_packet` on go by another.
  bool lost(uint8_t port, uint64_t packet, uint32_t bytes, uint64_t next_packet) {
    Port& p = all_[port];
    if (packet < p.since) return false;
    p.lost_bytes = std::max(p.lost_bytes, bytes);
    if (++p.lost < kLostInARow) return false;
    change(p, next_packet);
    return true;
  }

  // The peer sent something new, or what had come before. True: too often, all ports are changed.
  bool came(bool twice, uint64_t next_packet) {
    twice_ = twice ? twice_ + 1 : 0;
    if (twice_ < kTwiceInARow) return false;
    change_all(next_packet);
    return true;
  }

  // A HELLO and its answer go by the first port: now by a new one, now by the path's own, which may
  // be the only one that is let through.
  void call_by_another(uint64_t next_packet) {
    change_all(next_packet);
    own_turn_ = !own_turn_;
    if (own_turn_) all_[0].number = 0;
  }

  void change_all(uint64_t next_packet) {
    twice_ = 0;
    for (uint32_t i = 0; i < ports_; i++)
      change(all_[i], next_packet);
  }

 private:
  struct Port {
    uint16_t number = 0;
    uint32_t lost = 0;  // since one as large as the largest of these arrived
    uint32_t lost_bytes = 0;
    uint64_t since = 0;  // the first packet by it
  };

  void change(Port& p, uint64_t next_packet) {
    p = {.number = ++last_, .since = next_packet};
    if (last_ == 0) p.number = ++last_;  // the numbers wrapped; 0 stays the path's own
  }

  uint32_t ports_;
  uint8_t at_ = 0;
  uint16_t last_ = 0;
  uint32_t twice_ = 0;
  bool own_turn_ = false;
  std::array<Port, kMost> all_;
};

}  // namespace penstock
