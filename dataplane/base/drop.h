// Why a message, a frame or a request was not delivered: one row each. What is lost is lost once,
// in one place, under one of these; metrics, `penstock show` and gap notices use the same words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/base/counter.h"

namespace penstock {

// One row a line:
// clang-format off
#define PENSTOCK_DROPS(row) \
  row(kNone, "none", "nothing was dropped") \
  row(kOverrun, "overrun", "message: a lossy reader was lapped by the writer") \
  row(kMalformed, "malformed", "message: its descriptor made no sense") \
  row(kEvicted, "evicted", "message: its reader was evicted") \
  row(kReaderDied, "reader_died", "message: its reader died before it took it") \
  row(kPublisherDied, "publisher_died", "reserved: what a publisher did not finish is in nobody's books") \
  row(kPeerDown, "peer_down", "message: the peer node went away before it had it") \
  row(kTooBig, "too_big", "message: larger than the mirror or the inbox on its way") \
  row(kRefused, "refused", "message: the peer has no room for its lane") \
  row(kNoMember, "no_member", "message: its group has no member left") \
  row(kTooSlow, "too_slow", "message: its subscription was ended, too slow for its policy") \
  row(kConflated, "conflated", "message: a newer one of its topic was there already") \
  row(kOverLimit, "over_limit", "message: too many waited already for a reader that drops the newest") \
  row(kNotZeroCopy, "not_zero_copy", "message: its subscription was ended, since one came by frames that required zero copy") \
  row(kNoCookie, "no_cookie", "frame: a HELLO whose sender has not shown that it can be reached") \
  row(kBadFrame, "bad_frame", "frame: truncated or malformed") \
  row(kBadChecksum, "bad_checksum", "frame: checksum wrong") \
  row(kBadVersion, "bad_version", "frame: another protocol version") \
  row(kStaleEpoch, "stale_epoch", "frame: from an earlier life of its sender") \
  row(kUnknownPeer, "unknown_peer", "frame: from or for no link of ours") \
  row(kForeign, "foreign", "frame: not for us") \
  row(kNoLane, "no_lane", "frame: for a lane that is not here, or not any more") \
  row(kDuplicate, "duplicate", "frame: had it already") \
  row(kNoCredit, "no_credit", "frame: outside the room that was granted") \
  row(kNoBuffer, "no_buffer", "frame: no buffer free")
// clang-format on

enum class Drop : uint8_t {
#define PENSTOCK_ROW(name, text, what) name,
  PENSTOCK_DROPS(PENSTOCK_ROW)
#undef PENSTOCK_ROW
      kCount
};

inline constexpr size_t kDrops = static_cast<size_t>(Drop::kCount);

// The word of a reason in metrics and tables, never null.
constexpr const char* text(Drop d) {
  constexpr const char* kText[] = {
#define PENSTOCK_ROW(name, text, what) text,
      PENSTOCK_DROPS(PENSTOCK_ROW)
#undef PENSTOCK_ROW
  };
  const auto i = static_cast<size_t>(d);
  return i < kDrops ? kText[i] : "unknown";
}

// What it means; begins with what is lost, "message: " or "frame: ", but for kNone.
constexpr std::string_view what(Drop d) {
  constexpr std::string_view kText[] = {
#define PENSTOCK_ROW(name, text, what) what,
      PENSTOCK_DROPS(PENSTOCK_ROW)
#undef PENSTOCK_ROW
  };
  const auto i = static_cast<size_t>(d);
  return i < kDrops ? kText[i] : kText[0];
}
constexpr bool is_message(Drop d) {
  return what(d).starts_with("message");
}

// Counts by reason. Written by one core.
struct DropCounters {
  std::array<Counter, kDrops> by_reason;

  void add(Drop why, uint64_t n = 1) { by_reason[static_cast<size_t>(why)].add(n); }
  uint64_t read(Drop why) const { return by_reason[static_cast<size_t>(why)].read(); }
};

}  // namespace penstock
