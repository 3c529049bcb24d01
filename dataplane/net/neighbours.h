// Neighbours: which MAC address the hosts next to us have. Fixed capacity, no clock, no frames: the
// resolver asks and tells it what was answered. Owned by the port's worker.
//
//     want() ──▶ asking ──learn()──▶ known ──30 s──▶ known, asks again ──learn()──▶ known
//     add_static() ──▶ fixed
//
// Only wanted addresses are learned, so strangers cannot fill the table. An answer that stays away
// does not take an address away: that the peer is gone is for the link to find out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "dataplane/base/errc.h"
#include "dataplane/net/address.h"

namespace penstock {

class Neighbours {
 public:
  static constexpr size_t kCapacity = 256;
  static constexpr uint64_t kNever = ~uint64_t{0};
  static constexpr uint64_t kFirstRetryNs = 100'000'000;  // doubles up to
  static constexpr uint64_t kLastRetryNs = 1'600'000'000;
  static constexpr uint64_t kRefreshNs = 30'000'000'000;

  // Fixes an address for good; what is learned doesn't change it. kFull: no row is free.
  Errc add_static(const IpAddress& ip, const MacAddress& mac);

  // Asks for it from now on; kOk too when it is there already. kFull: no row is free.
  Errc want(const IpAddress& ip, uint64_t now);

  void forget(const IpAddress& ip);

  // Null while it is not known. Valid until the next call that changes the table.
  const MacAddress* find(const IpAddress& ip) const;

  // What an answer, or the neighbour's own question, says. True: a wanted address has a new MAC.
  bool learn(const IpAddress& ip, const MacAddress& mac, uint64_t now);

  // The next address to ask for, and counts it as asked; nothing when none is due.
  std::optional<IpAddress> take_due(uint64_t now);

  // When take_due() will have something; kNever when there is nothing to ask.
  uint64_t next_due() const;

 private:
  enum class State : uint8_t { kFree, kAsking, kKnown, kStatic };
  struct Row {
    State state = State::kFree;
    IpAddress ip;
    MacAddress mac;
    uint64_t due = kNever;
    uint64_t retry_ns = kFirstRetryNs;
  };

  Row* row(const IpAddress& ip);
  Row* free_row();

  std::array<Row, kCapacity> rows_;
  size_t used_ = 0;  // no row at or behind it was ever used
};

}  // namespace penstock
