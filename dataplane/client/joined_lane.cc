#include "dataplane/client/joined_lane.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <new>

#include "dataplane/topic/filter.h"
#include "dataplane/topic/name.h"

namespace penstock::client {
namespace {

Errc check(const attach::Join& j, const Packet& packet) {
  const bool sane = packet.fd_count == 2 && j.geometry.valid() && j.index < kMaxReaders &&
                    j.slot < kPositionSlots && j.lossy <= 1 && j.inbox <= 1 &&
                    std::memchr(j.publisher, 0, sizeof j.publisher) != nullptr;
  return sane ? Errc::kOk : Errc::kInvalid;
}

}  // namespace

Result<std::unique_ptr<JoinedLane>> JoinedLane::open(const attach::Join& join, const Packet& packet,
                                                     PositionTable* positions,
                                                     const std::string& filter,
                                                     const attach::Overflow& overflow,
                                                     bool zero_copy) {
  if (const Errc e = check(join, packet); e != Errc::kOk) return e;
  auto lane = Mapping::open(packet.fds[0].get(), join.geometry.total_bytes(), Access::kRead);
  if (!lane.ok()) return lane.error();
  auto page = Mapping::open(packet.fds[1].get(), sizeof(NodePage), Access::kRead);
  if (!page.ok()) return page.error();
  std::unique_ptr<JoinedLane> l(new (std::nothrow) JoinedLane);
  if (l == nullptr) return Errc::kNoMemory;
  l->lane_ = std::move(*lane);
  l->page_ = std::move(*page);
  LaneReader::Join j;
  j.memory = l->lane_.data();
  j.geometry = join.geometry;
  j.page = reinterpret_cast<const NodePage*>(l->page_.data());
  j.index = join.index;
  j.generation = join.generation;
  j.slot = &positions->slots[join.slot];
  l->delays_ = &positions->delays;
  j.start = join.start;
  j.lossy = join.lossy != 0;
  l->reader_ = LaneReader(j);
  l->released_ = join.start;
  l->lossy_ = j.lossy;
  l->zero_copy_ = zero_copy;
  l->set_policy(overflow, join.geometry);
  l->everything_ = join.inbox != 0;
  const bool watched = overflow.policy == attach::Policy::kDisconnect || overflow.block_ns != 0;
  const bool at_once = join.inbox != 0 || watched;
  l->most_held_ = at_once ? 1 : std::min<uint64_t>(64, join.geometry.ring_size() / 4);
  l->most_held_bytes_ = join.geometry.arena_size() / 4;
  l->slot_ = join.slot;
  l->lane_id_ = join.lane_id;
  l->origin_node_ = join.origin_node;
  std::memcpy(l->publisher_, join.publisher, sizeof l->publisher_);
  l->filter_ = filter;
  l->release_at_ = l->released_ + l->most_held_;
  l->release_arena_at_ = l->most_held_bytes_;
  l->plain_.lane = join.lane_id;
  l->plain_.origin_node = join.origin_node;
  l->plain_.publisher = l->publisher_;
  l->plain_.parts = 1;
  return l;
}

// Once per topic and lane: copies the name, checks it, matches it. A row that is not there, or no
// topic, is the publisher's doing.
const JoinedLane::TopicRow* JoinedLane::learn(uint32_t topic) {
  if (topic >= rows_.size()) rows_.resize(topic + 1);
  TopicRow& row = rows_[topic];
  std::array<char, kMaxTopicName> buffer;
  const std::string_view name = reader_.topic_name(topic, buffer);
  if (!valid_topic(name)) {
    row.use = Use::kNonsense;
    return &row;
  }
  auto owned = std::make_unique<char[]>(name.size() + 1);
  std::memcpy(owned.get(), name.data(), name.size());
  row.name = owned.get();
  row.len = static_cast<uint16_t>(name.size());
  row.use = everything_ || matches(filter_, name) ? Use::kWanted : Use::kUnwanted;
  names_.push_back(std::move(owned));
  return &row;
}

// A lossy reader holds nobody back, so what it shows must be its own.
bool JoinedLane::copy_out(Message& m) {
  if (m.len > copy_bytes_) {
    const uint64_t bytes = std::max<uint64_t>(m.len, copy_bytes_ * 2);
    copy_.reset(new (std::nothrow) std::byte[bytes]);
    copy_bytes_ = copy_ != nullptr ? bytes : 0;
    if (copy_ == nullptr) return false;
  }
  if (!reader_.copy(m, copy_.get())) return false;
  if (m.len != 0) m.data = copy_.get();
  return true;
}

// Lossy readers, and whatever is not a plain message of a topic that is known and wanted.
JoinedLane::Next JoinedLane::other(const penstock_message*& out) {
  if (over_) return Next::kNothing;
  out = &other_;
  Message m;
  for (uint32_t i = 0; i < kMostSkips; i++) {
    if (sheds_ && shed(m)) {
      show_gap(m);
      return Next::kGap;
    }
    if (zero_copy_ && stands_at_copied()) {
      release();
      return Next::kNothing;
    }
    switch (reader_.next(m)) {
      case LaneReader::Next::kEmpty:
        release();
        return show_end() ? Next::kGap : Next::kNothing;
      case LaneReader::Next::kGap:
        show_gap(m);
        return Next::kGap;
      case LaneReader::Next::kMessage:
        break;
    }
    arena_end_ = m.arena_pos + m.len;
    source_end_ = m.source + 1;
    const TopicRow* row = row_of(m.topic);
    switch (row->use) {
      case Use::kWanted:
        if (lossy_ && !copy_out(m)) {
          show_loss(m, Drop::kOverrun);
          return Next::kGap;
        }
        show(m, *row);
        if (m.time_ns != 0) count_delay(m.time_ns);
        return Next::kMessage;
      case Use::kNonsense:
        reader_.count_malformed();
        show_loss(m, Drop::kMalformed);
        return Next::kGap;
      default:
        skipped_++;
        release_if_due();
    }
  }
  return Next::kMore;
}

// The next message is wanted, and came in a way that it must not. The node sees that nobody but
// this reader stands in front of it, and ends the subscription here.
bool JoinedLane::stands_at_copied() {
  Message m;
  stalled_ = reader_.look(reader_.position(), m) && (m.flags & kFlagCopied) != 0 &&
             row_of(m.topic)->use == Use::kWanted;
  return stalled_;
}

void JoinedLane::count_delay(uint64_t sent_ns) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const uint64_t ns =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  delays_->count(ns > sent_ns ? ns - sent_ns : 0);
}

void JoinedLane::show(const Message& m, const TopicRow& row) {
  plain_.topic = row.name;
  plain_.topic_len = row.len;
  if (!lossy_) shown_topic_ = m.topic;
  other_ = plain_;
  other_.data = other_.whole = m.data;
  other_.len = other_.whole_len = m.len;
  other_.position = m.source;
  other_.lane = m.origin;
  other_.time_ns = m.time_ns;
  other_.key = m.key;
  other_.parts = m.parts;
  other_.copied = (m.flags & kFlagCopied) != 0 ? 1 : 0;
  if (m.parts == 1) return;
  const auto first = part(m, 0);
  if (!first.empty()) other_.data = first.data();
  other_.len = first.size();
}

void JoinedLane::fill_gap(uint64_t position, uint64_t count, Drop why) {
  other_ = {};
  other_.data = other_.whole = other_.topic = "";
  other_.position = position;
  other_.lane = lane_id_;
  other_.origin_node = origin_node_;
  other_.publisher = publisher_;
  other_.gap_count = count;
  other_.gap_reason = static_cast<uint32_t>(why);
}

// The message or notice that comes next. A notice makes no message, but it is there unless the
// writer came round while it was read.
bool JoinedLane::look_ahead(Message& m) const {
  const uint64_t at = reader_.position();
  if (reader_.look(at, m)) return true;
  return m.flags == kFlagGap && reader_.newest() - at < reader_.join().geometry.ring_size();
}

// Of an overrun in a mirror the next message says how many were missed where they were published:
// some of what was overrun may have been notices that stood for many.
void JoinedLane::show_gap(const Message& m) {
  const bool written = m.origin != 0;  // by the publisher or a node, not found out here
  Message next;
  if (!written && source_end_ != 0 && look_ahead(next) && next.origin != lane_id_ &&
      next.source > source_end_) {
    fill_gap(source_end_, std::max(m.key, next.source - source_end_), static_cast<Drop>(m.parts));
    other_.lane = next.origin;
    return;
  }
  if (written) source_end_ = std::max(source_end_, m.source + std::max<uint64_t>(m.key, 1));
  fill_gap(written ? m.source : m.position, std::max<uint64_t>(m.key, 1),
           static_cast<Drop>(m.parts));
  if (written) other_.lane = m.origin;
}

void JoinedLane::show_loss(const Message& m, Drop why) {
  fill_gap(m.source, 1, why);
  other_.lane = m.origin;
}

// The lane of a peer that was lost: what it had sent and not brought here is missed, and it alone
// knows how much that is. If it comes back in the same life, the next lane of that sender begins
// with the number.
bool JoinedLane::show_end() {
  if (end_told_ || !leaving_ || reader_.closed() != CloseReason::kPeerDown) return false;
  end_told_ = true;
  fill_gap(reader_.position(), PENSTOCK_GAP_UNKNOWN, Drop::kPeerDown);
  return true;
}

const penstock_message* JoinedLane::end_evicted(bool in_use, uint64_t& lost) {
  over_ = true;
  shown_topic_ = LaneReader::kNoTopic;
  const uint64_t held = in_use ? 1 : 0;
  lost = held + reader_.lag();
  fill_gap(reader_.position() - held, std::max<uint64_t>(lost, 1), reader_.eviction());
  reader_.account(shown_, skipped_);
  reader_.release_to(reader_.position() - held);
  return &other_;
}

attach::Released JoinedLane::released() const {
  attach::Released r;
  r.lane_id = lane_id_;
  r.slot = slot_;
  r.generation = reader_.join().generation;
  return r;
}

}  // namespace penstock::client
