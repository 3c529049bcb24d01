// What a lossy reader passes over by its policy. It looks before each message at how much waits;
// the lane itself keeps what waits, and overruns a reader that is too far behind for it.
//
//   drop_oldest     position ── passed over ──▶ within the limit ── head
//   drop_newest     position ── within the limit ──▶ passed over, when it gets there ── head
//   conflate        position ── all but the newest of each topic: passed over ── head
#include <algorithm>

#include "dataplane/client/joined_lane.h"

namespace penstock::client {

using attach::Policy;

void JoinedLane::set_policy(const attach::Overflow& overflow, const LaneGeometry& lane) {
  overflow_ = overflow;
  sheds_ = lossy_ && (overflow.limited() || overflow.policy != Policy::kDropOldest);
  if (overflow.policy != Policy::kDropNewest || overflow.limited()) return;
  overflow_.limit_messages = lane.ring_size() / 2;
  overflow_.limit_bytes = lane.arena_size() / 2;
}

// True: `m` is the gap of what is passed over now, with the place where the first was published.
bool JoinedLane::shed(Message& m) {
  const uint64_t head = reader_.newest();
  const uint64_t at = reader_.position();
  if (head <= at) return false;
  Drop why = Drop::kOverrun;
  uint64_t to = at;
  switch (overflow_.policy) {
    case Policy::kDropOldest:
      to = oldest_kept(head);
      break;
    case Policy::kConflate:
      why = Drop::kConflated;
      to = conflate(head);
      break;
    case Policy::kDropNewest:
      why = Drop::kOverLimit;
      if (cut_end_ <= at) {
        cut_ = newest_kept(head);
        cut_end_ = cut_ < head ? head : 0;
      }
      if (at >= cut_) to = std::max(cut_end_, at);
      break;
    default:
      break;
  }
  // A notice says how many it stands for: next() shows it.
  Message first, passed, last;
  uint64_t end = at;
  for (; end < to && reader_.look(end, end == at ? first : passed); end++)
    last = end == at ? first : passed;
  if (end == at) return false;
  (void)reader_.skip_to(end, why, m);
  source_end_ = last.source + 1;
  m.source = first.source;
  m.origin = first.origin;
  return true;
}

// The first position that is within the limits of the head. Arena positions grow, so it is found by
// halves; the newest is always kept. What cannot be read any more is too old.
uint64_t JoinedLane::oldest_kept(uint64_t head) const {
  uint64_t at = reader_.position();
  if (overflow_.limit_messages != 0 && head - at > overflow_.limit_messages)
    at = head - overflow_.limit_messages;
  Message m;
  if (overflow_.limit_bytes == 0 || !reader_.look(head - 1, m)) return at;
  const uint64_t end = arena_next(m.arena_pos, m.len);
  const auto fits = [&](uint64_t position) {
    return reader_.look(position, m) && end - m.arena_pos <= overflow_.limit_bytes;
  };
  if (fits(at)) return at;
  uint64_t last = head - 1;
  while (at < last) {
    const uint64_t middle = at + (last - at) / 2;
    if (fits(middle)) {
      last = middle;
    } else {
      at = middle + 1;
    }
  }
  return last;
}

// One past the last position that is within the limits of this one, which always is; by halves,
// too. What cannot be read has no size: next() tells what it is.
uint64_t JoinedLane::newest_kept(uint64_t head) const {
  const uint64_t at = reader_.position();
  uint64_t end = head;
  if (overflow_.limit_messages != 0) end = std::min(end, at + overflow_.limit_messages);
  Message m;
  if (overflow_.limit_bytes == 0 || !reader_.look(at, m)) return end;
  const uint64_t begin = m.arena_pos;
  const auto fits = [&](uint64_t position) {
    return !reader_.look(position, m) ||
           arena_next(m.arena_pos, m.len) - begin <= overflow_.limit_bytes;
  };
  if (end <= at + 1 || fits(end - 1)) return end;
  uint64_t first = at + 1;  // the first that does not fit lies in [first, end)
  while (first < end - 1) {
    const uint64_t middle = first + (end - 1 - first) / 2;
    if (fits(middle)) {
      first = middle + 1;
    } else {
      end = middle + 1;
    }
  }
  return first;
}

// Each message is looked at once when it is new, and once when it is its turn. Topics that nobody
// asked for and notices are left to next().
uint64_t JoinedLane::conflate(uint64_t head) {
  const uint64_t ring = reader_.join().geometry.ring_size();
  const uint64_t at = reader_.position();
  Message m;
  scanned_ = std::max({scanned_, at, head > ring ? head - ring : 0});
  for (; scanned_ < head; scanned_++) {
    if (!reader_.look(scanned_, m)) continue;
    if (m.topic >= newest_of_.size()) newest_of_.resize(m.topic + 1);
    newest_of_[m.topic] = scanned_ + 1;
  }
  uint64_t to = at;
  while (to < head && reader_.look(to, m) && m.topic < newest_of_.size() &&
         newest_of_[m.topic] > to + 1 && row_of(m.topic)->use == Use::kWanted)
    to++;
  return to;
}

}  // namespace penstock::client
