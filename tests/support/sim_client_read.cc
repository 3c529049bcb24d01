// What a simulated client reads, and tells the ledger.
#include <algorithm>
#include <array>
#include <utility>

#include "tests/dataplane/topic/slow_match.h"
#include "tests/support/sim_client_reading.h"

namespace penstock::test {

uint32_t SimClient::read(Receiver& r, const Pace& pace) {
  uint32_t work = 0;
  for (size_t i = 0; i < r.lanes.size(); i++) {
    Reading& lane = *r.lanes[i];
    const auto before = [&](const auto& other) { return other->publisher == lane.publisher; };
    const auto here = r.lanes.begin() + static_cast<std::ptrdiff_t>(i);
    if (lane.publisher == 0 || std::none_of(r.lanes.begin(), here, before))
      work += read(r, lane, pace);
  }
  std::erase_if(r.lanes, [](const auto& lane) { return lane->over; });
  return work;
}

// As the library does: what was overrun may have been notices that stood for many, and the next
// that is read says where it was published. Before the first there is nothing to go by: that some
// were missed is all that is told.
void SimClient::tell_overrun(Receiver& r, Reading& lane, uint64_t source) {
  uint64_t n = std::exchange(lane.overrun, 0);
  if (n == 0) return;
  if (lane.source_end != 0)
    n = std::max(n, source - std::min(source, lane.source_end));
  else
    ledger_.end_of_lane(r.id, lane.publisher);
  ledger_.gap(r.id, lane.publisher, n);
}

// As the library does: it is not shown, and the node sees who stands there.
bool SimClient::stands_at_copied(const Receiver& r, const Reading& lane) {
  Message m;
  if (!r.zero_copy || !lane.reader.look(lane.reader.position(), m)) return false;
  std::array<char, kMaxTopicName> buffer;
  return (m.flags & kFlagCopied) != 0 &&
         slow_match(r.filter, lane.reader.topic_name(m.topic, buffer));
}

uint32_t SimClient::read(Receiver& r, Reading& lane, const Pace& pace) {
  if (lane.reader.evicted()) {
    if (r.zero_copy && lane.reader.eviction() == Drop::kNotZeroCopy) return 0;
    fault("evicted from lane of " + std::string(lane.join.publisher));
    lane.over = true;
    return 0;
  }
  if (!std::exchange(lane.begun, true) && lane.publisher != 0)
    ledger_.joined(r.id, lane.publisher, lane.standing);
  uint32_t n = 0;
  bool empty = false;
  for (; n < pace.read; n++) {
    if (stands_at_copied(r, lane)) {
      let_go(ledger_, r, lane);
      return n;
    }
    Message m;
    const LaneReader::Next next = lane.reader.next(m);
    empty = next == LaneReader::Next::kEmpty;
    if (empty) {
      tell_overrun(r, lane, lane.source_end);
      if (lane.reader.finished() && lane.reader.closed() == CloseReason::kPeerDown)
        ledger_.end_of_lane(r.id, lane.publisher);
      break;
    }
    const uint64_t count = std::max<uint64_t>(m.key, 1);
    if (next == LaneReader::Next::kGap && m.origin == 0) {
      lane.overrun += count;
      continue;
    }
    tell_overrun(r, lane, m.source);
    if (next == LaneReader::Next::kGap) {
      ledger_.gap(r.id, lane.publisher, count);
      lane.source_end = m.source + count;
      continue;
    }
    lane.source_end = m.source + 1;
    std::array<char, kMaxTopicName> buffer;
    const std::string_view topic = lane.reader.topic_name(m.topic, buffer);
    if (lane.join.inbox == 0 && !slow_match(r.filter, topic)) {
      lane.skipped++;
      continue;
    }
    std::vector<std::byte> copy;
    if (lane.join.lossy != 0) {
      copy.resize(m.len);
      if (!lane.reader.copy(m, copy.data())) {
        ledger_.gap(r.id, lane.publisher, 1);
        continue;
      }
      m.data = copy.data();
    }
    lane.shown++;
    const auto name = ledger_.got(r.id, topic, {m.data, static_cast<size_t>(m.len)});
    if (lane.join.inbox != 0) lane.held.push_back(name);
  }
  const bool done = empty && lane.reader.finished();
  if (done || random_.chance(pace.release)) let_go(ledger_, r, lane);
  if (done) {
    guest_.say(attach::Released{
        .lane_id = lane.join.lane_id, .slot = lane.join.slot, .generation = lane.join.generation});
    lane.over = true;
  }
  return n;
}

}  // namespace penstock::test
