#include "dataplane/group.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace penstock {
namespace {

// How much room an inbox has, as a share of its ring in 1/65536.
uint64_t room_share(const LaneWriter& inbox) {
  const uint64_t used = inbox.head() - inbox.consumed();
  const uint64_t size = inbox.geometry().ring_size();
  return used >= size ? 0 : ((size - used) << 16) / size;
}

// Who takes the messages of this key: one of the members here, or a peer that takes the topic.
// Nobody does: one past the last.
size_t keyed(const Message& m, size_t here, const std::vector<RemoteMember*>& remotes) {
  const auto takes = [&](const RemoteMember* r) { return r->takes(m.topic); };
  const auto takers = here + static_cast<size_t>(std::ranges::count_if(remotes, takes));
  if (takers == 0) return remotes.size();
  size_t nth = std::hash<uint64_t>{}(m.key * 0x9e3779b97f4a7c15u >> 32) % takers;
  if (nth < here) return nth;
  nth -= here;
  size_t i = 0;
  while (!takes(remotes[i]) || nth-- != 0)
    i++;
  return here + i;
}

}  // namespace

RemoteMember::RemoteMember(LaneReader& reader, LinkPath* path, uint32_t alias, uint32_t epoch,
                           const LaneGeometry& mirror, Region* region)
    : reader_(reader),
      path_(path),
      region_(region),
      fifo_(mirror.ring_size()),
      uses_(mirror.topics),
      out_(alias, epoch, mirror, *this) {}

bool RemoteMember::take(uint64_t position, uint32_t topic) {
  if (room() == 0 || !takes(topic)) return false;
  fifo_[tail_++ & (fifo_.size() - 1)] = position;
  path_->link.wake(&out_);
  return true;
}

uint64_t RemoteMember::oldest(uint64_t none) const {
  return released_ == tail_ ? none : fifo_[released_ & (fifo_.size() - 1)];
}

size_t RemoteMember::next(std::span<Message> out) {
  size_t n = 0;
  while (n < out.size() && given_ != tail_) {
    const uint64_t position = fifo_[given_ & (fifo_.size() - 1)];
    if (!reader_.look(position, out[n])) {
      // The publisher changed it meanwhile: the peer is told that one message will not come.
      out[n] = {};
      out[n].position = position;
      out[n].source = position;
      out[n].flags = kFlagGap;
      out[n].key = 1;
      out[n].parts = static_cast<uint16_t>(Drop::kMalformed);
      unreadable_.add(1);
    }
    given_++;
    n++;
  }
  return n;
}

bool RemoteMember::look(uint64_t source_position, Message& m) {
  return reader_.look(source_position, m);
}

void RemoteMember::released(uint64_t source_position) {
  while (released_ != given_ && fifo_[released_ & (fifo_.size() - 1)] < source_position)
    released_++;
  if (source_ != nullptr) source_->let_go();
}

void Group::remove(GroupMember* member) {
  std::erase(members_, member);
}

void GroupSource::set_topic(uint32_t topic, uint32_t inbox_topic) {
  if (topic < topics_.size()) topics_[topic] = inbox_topic;
}

void GroupSource::add_remote(RemoteMember* remote) {
  remote->source_ = this;
  remotes_.push_back(remote);
}

void GroupSource::remove_remote(RemoteMember* remote) {
  remote->source_ = nullptr;
  std::erase(remotes_, remote);
}

// The member with most room takes it; among equals the next in turn. A message with a key goes to
// the same member as long as those that take its topic stay the same.
bool GroupSource::dispatch(const Message& m, uint32_t topic) {
  const size_t here = group_.members_.size();
  const size_t all = here + remotes_.size();
  if (all == 0) {
    if (refused_topics_[m.topic]) refused_.add(1);
    return refused_topics_[m.topic];
  }
  size_t best = all;
  uint64_t most = 0;
  if (m.key != 0) best = keyed(m, here, remotes_);
  if (best == all) {
    bool refused = here == 0;
    for (size_t k = 0; k < all; k++) {
      const size_t i = (group_.turn_ + k) % all;
      uint64_t room = 0;
      if (i < here) {
        room = room_share(*group_.members_[i]->inbox);
      } else if (const RemoteMember& r = *remotes_[i - here]; r.takes(m.topic)) {
        room = (r.room() << 16) / r.size();
        refused = false;
      } else if (!r.refuses(m.topic)) {
        refused = false;
      }
      if (room > most) {
        most = room;
        best = i;
      }
    }
    if (refused) refused_.add(1);
    if (best == all) return refused;
  }
  if (best >= here) {
    if (!remotes_[best - here]->take(m.position, m.topic)) return false;
  } else {
    GroupMember& member = *group_.members_[best];
    std::byte* to = member.inbox->loan(m.len);
    if (to == nullptr) {
      if (member.inbox->fits(m.len)) return false;
      // It can never be delivered here: the member is told that one message will not come. Nobody
      // has asked yet whether its ring has a place for that: a key chose it.
      if (member.inbox->loan(0) == nullptr) return false;
      member.inbox->commit({.topic = topic,
                            .parts = static_cast<uint16_t>(Drop::kTooBig),
                            .flags = kFlagGap,
                            .key = 1},
                           0);
      too_big_.add(1);
      return true;
    }
    if (m.len != 0) std::memcpy(to, m.data, m.len);
    member.inbox->publish_loaned(
        {.topic = topic, .parts = m.parts, .time_ns = m.time_ns, .key = m.key}, m.source, m.origin);
    member.delivered.add(1);
  }
  group_.turn_ = (best + 1) % all;
  return true;
}

void GroupSource::let_go() {
  uint64_t keep = held_ ? held_message_.position : reader_.position();
  for (const RemoteMember* r : remotes_)
    keep = std::min(keep, r->oldest(keep));
  if (keep != reader_.released()) reader_.release_to(keep);
}

uint32_t GroupSource::poll(uint64_t /*now*/) {
  constexpr uint32_t kBurst = 32;
  uint32_t done = 0;
  while (done < kBurst) {
    if (!held_) {
      if (reader_.next(held_message_) == LaneReader::Next::kEmpty) break;
      held_ = true;
    }
    const Message& m = held_message_;
    if ((m.flags & kFlagGap) != 0) {
      gaps_.add(m.key);
    } else if (topics_[m.topic] == kAskTopic) {
      break;
    } else if (topics_[m.topic] == kNoTopic) {
      skipped_.add(1);
    } else {
      if (!dispatch(m, topics_[m.topic])) break;
      dispatched_.add(1);
    }
    held_ = false;
    done++;
  }
  let_go();
  return done;
}

}  // namespace penstock
