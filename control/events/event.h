// Event: something that an operator should know of. Each has a name that stays the same from
// version to version: alarms, dashboards and `penstock events` go by it. Most come in pairs: raised
// when it begins to be so, cleared when it is over.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock {

enum class Severity : uint8_t { kInfo, kWarning, kError };

// One row a line. pair: raised and cleared for each subject; note: it happened, and that is all.
// clang-format off
#define PENSTOCK_EVENTS(row) \
  row(kLinkDown, "link_down", kWarning, true, "a path to a peer has no session") \
  row(kLinkSuspect, "link_suspect", kWarning, true, "a path lost its connection; its session waits for it to come back") \
  row(kPeerRefused, "peer_refused", kError, true, "a peer refuses this node, and says why") \
  row(kPeerCut, "peer_cut", kError, true, "a peer costs more than it may: its links stay closed") \
  row(kRdmaDown, "rdma_down", kWarning, true, "large messages to a peer go without an RDMA device that is there") \
  row(kSlowPath, "slow_path", kWarning, true, "large messages are copied for who prefers that they are not, or wait for RDMA where it is required") \
  row(kPortDown, "port_down", kError, true, "a port cannot send or receive") \
  row(kMemoryLow, "memory_low", kWarning, true, "a port finds no free buffer for frames that go") \
  row(kSlowReader, "slow_reader", kWarning, true, "a reader has held its publisher back for a second, and moves no more") \
  row(kDropsStarted, "drops_started", kWarning, true, "messages are being dropped, for this reason") \
  row(kStoreUnreachable, "store_unreachable", kWarning, true, "the store does not answer, or not as it should") \
  row(kMembersTrouble, "members_trouble", kWarning, true, "this node is not registered, a member's row cannot be read, or what is known of members not saved") \
  row(kConfigRefused, "config_refused", kError, true, "the file was read again and has mistakes; what runs is what was before") \
  row(kWorkerStuck, "worker_stuck", kError, true, "a worker has not come round for seconds") \
  row(kClientDetached, "client_detached", kWarning, false, "a client was cut off") \
  row(kReaderEvicted, "reader_evicted", kWarning, false, "a client lied about its position in a lane") \
  row(kSubscriptionEnded, "subscription_ended", kWarning, false, "the node ended a subscription: too slow for its policy, without a right by now, or not served as it requires") \
  row(kDenied, "denied", kWarning, false, "a client or a peer was refused something by the rules") \
  row(kSubscriptionLate, "subscription_late", kWarning, false, "a peer did not acknowledge a filter in time") \
  row(kLaneRefused, "lane_refused", kWarning, false, "a lane does not get to who wants it") \
  row(kTopicsFull, "topics_full", kWarning, false, "a topic does not get to who wants it: a table of topics is full") \
  row(kPortCopies, "port_copies", kInfo, false, "a port cannot read lanes in place: payloads are copied") \
  row(kPeerNonsense, "peer_nonsense", kWarning, false, "a peer said something impossible; it was ignored") \
  row(kNote, "note", kInfo, false, "what has no name of its own")
// clang-format on

enum class EventName : uint8_t {
#define PENSTOCK_ROW(name, text, severity, pair, what) name,
  PENSTOCK_EVENTS(PENSTOCK_ROW)
#undef PENSTOCK_ROW
      kCount
};

inline constexpr size_t kEventNames = static_cast<size_t>(EventName::kCount);

struct EventRow {
  std::string_view name;
  Severity severity;
  bool pair;
  std::string_view what;  // for documents
};

inline constexpr std::array<EventRow, kEventNames> kEvents = {{
#define PENSTOCK_ROW(name, text, severity, pair, what) {text, Severity::severity, pair, what},
    PENSTOCK_EVENTS(PENSTOCK_ROW)
#undef PENSTOCK_ROW
}};

constexpr const EventRow& row(EventName name) {
  return kEvents[static_cast<size_t>(name)];
}

enum class Change : uint8_t { kRaised, kCleared, kNoted };

constexpr std::string_view text(Change c) {
  constexpr std::string_view kText[] = {"raised", "cleared", "noted"};
  return kText[static_cast<size_t>(c)];
}

struct Event {
  EventName name = EventName::kNote;
  Change change = Change::kNoted;
  std::string
      subject;       // what it is about, "node 2 path 0": the same in raise and clear; no pair: ""
  std::string text;  // a sentence, of one line

  // What Events adds when it tells of it.
  uint64_t number = 0;      // 1, 2, 3, ... in this life of the node
  uint64_t unix_ns = 0;     // when it happened
  uint64_t suppressed = 0;  // with this name, and not told of since the one before

  // A raise that is over has nothing to complain about.
  Severity severity() const {
    return change == Change::kCleared ? Severity::kInfo : row(name).severity;
  }
  // For whom the sentence is all.
  operator std::string_view() const { return text; }  // NOLINT(google-explicit-constructor)
};

}  // namespace penstock
