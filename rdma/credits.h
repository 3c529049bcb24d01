// Credits: how many immediates a peer may have sent, so that it never meets a receiver without a
// receive. Absolute numbers, which only grow: a grant that is lost, late or doubled mints nothing.
//
//   receiver   ReceiveShares: cuts the device's receives into shares, one for each endpoint
//              polled ──▶ consumed ──▶ a grant when half a share was used ──▶ to the peer, by put
//   sender     SendCredits: sent < granted
#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

#include "dataplane/base/errc.h"

namespace penstock {

// Of one endpoint, at the side that posts. Owned by its worker.
class SendCredits {
 public:
  // `window`: the peer's share for this endpoint, as it said at the start.
  explicit SendCredits(uint32_t window) : window_(window), granted_(window) {}

  uint64_t room() const { return granted_ - sent_; }
  void take(uint64_t n) {
    assert(n <= room());
    sent_ += n;
  }

  // What the peer granted, from memory that it writes. An old one is no news; false: it grants what
  // it cannot have.
  bool grant(uint64_t total) {
    if (total <= granted_) return true;
    if (total - sent_ > window_) return false;
    granted_ = total;
    return true;
  }

  uint64_t sent() const { return sent_; }
  uint64_t granted() const { return granted_; }

 private:
  uint64_t window_;
  uint64_t sent_ = 0;
  uint64_t granted_;
};

// Of one device, at the side that polls. Owned by its worker.
class ReceiveShares {
 public:
  // `receives`: FabricLimits.receive_depth; `shares`: endpoints at once.
  ReceiveShares(uint32_t receives, uint32_t shares)
      : window_(receives / shares), shares_(window_ == 0 ? 0 : shares) {}

  uint32_t window() const { return window_; }

  // A share for a new endpoint. kFull: all are taken.
  Result<uint32_t> open() {
    for (uint32_t i = 0; i < shares_.size(); i++) {
      if (shares_[i].open) continue;
      shares_[i] = {true, 0, window_};
      return i;
    }
    return Errc::kFull;
  }

  // Its endpoint was stopped, and all that it brought was polled.
  void close(uint32_t share) {
    assert(shares_[share].open);
    shares_[share].open = false;
  }

  // Immediates of its endpoint were polled: their receives are the peer's again. Returns the grant
  // to tell it, or 0 when that can wait: a peer of half a share needs none yet.
  uint64_t consumed(uint32_t share, uint64_t n) {
    Share& s = shares_[share];
    s.consumed += n;
    if (2 * (s.consumed + window_ - s.granted) < window_) return 0;
    s.granted = s.consumed + window_;
    return s.granted;
  }

 private:
  struct Share {
    bool open = false;
    uint64_t consumed = 0;
    uint64_t granted = 0;
  };

  uint32_t window_;
  std::vector<Share> shares_;
};

}  // namespace penstock
