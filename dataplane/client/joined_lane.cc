#include "dataplane/client/joined_lane.h"

#include <algorithm>
#include <cstring>
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
                                                     const std::string& filter) {
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
  j.start = join.start;
  j.lossy = join.lossy != 0;
  l->reader_ = LaneReader(j);
  l->released_ = join.start;
  l->lossy_ = j.lossy;
  l->everything_ = join.inbox != 0;
  l->most_held_ = join.inbox != 0 ? 1 : std::min<uint64_t>(64, join.geometry.ring_size() / 4);
  l->most_held_bytes_ = join.geometry.arena_size() / 4;
  l->slot_ = join.slot;
  l->lane_id_ = join.lane_id;
  l->origin_node_ = join.origin_node;
  std::memcpy(l->publisher_, join.publisher, sizeof l->publisher_);
  l->filter_ = filter;
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

void JoinedLane::fill_gap(penstock_message& out, uint64_t position, uint64_t count,
                          Drop why) const {
  out = {};
  out.data = out.whole = out.topic = "";
  out.position = position;
  out.lane = lane_id_;
  out.origin_node = origin_node_;
  out.publisher = publisher_;
  out.gap_count = count;
  out.gap_reason = static_cast<uint32_t>(why);
}

void JoinedLane::show_gap(penstock_message& out, const Message& m) {
  const bool written = m.origin != 0;  // by the publisher or a node, not found out here
  fill_gap(out, written ? m.source : m.position, std::max<uint64_t>(m.key, 1),
           static_cast<Drop>(m.parts));
  if (written) out.lane = m.origin;
}

void JoinedLane::lost_race(penstock_message& out, const Message& m) {
  fill_gap(out, m.source, 1, Drop::kOverrun);
  out.lane = m.origin;
}

void JoinedLane::nonsense(penstock_message& out, const Message& m) {
  fill_gap(out, m.source, 1, Drop::kMalformed);
  out.lane = m.origin;
}

void JoinedLane::end_evicted(bool in_use, penstock_message& gap) {
  over_ = true;
  const uint64_t held = in_use ? 1 : 0;
  const uint64_t lost = std::max<uint64_t>(held + reader_.lag(), 1);
  fill_gap(gap, reader_.position() - held, lost, Drop::kEvicted);
}

attach::Released JoinedLane::released() const {
  attach::Released r;
  r.lane_id = lane_id_;
  r.slot = slot_;
  r.generation = reader_.join().generation;
  return r;
}

}  // namespace penstock::client
