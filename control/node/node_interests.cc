// What peers want of this node, and what follows for the lanes that go to them.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/tenant.h"

namespace penstock {

void Node::on_sub_add(PeerRecord& p, const peer::SubAdd& m) {
  const std::string_view filter = peer::text(m.filter);
  if (m.mode > Mode::kGroup || !valid_tenant_filter(filter) || !m.overflow.valid() ||
      m.path > attach::PathPolicy::kRequireZeroCopy)
    return;
  const bool known = p.interests.contains(m.key) || p.denied.contains(m.key);
  if (p.interests.size() + p.denied.size() >= kMostInterests && !known)
    return cut(p, fmt::format("it wants more than {} filters", kMostInterests));
  if (!may(p, Right::kSubscribe, filter)) return deny(p, m);
  p.denied.erase(m.key);
  if (const auto other = p.interests.find(m.key);
      other != p.interests.end() &&
      (other->second.mode != m.mode || other->second.filter != filter))
    on_sub_del(p, {.key = m.key});
  Interest& interest = p.interests[m.key];
  interest = {.mode = m.mode,
              .filter = std::string(filter),
              .overflow = m.overflow,
              .path = m.path,
              .waiting = {},
              .acknowledged = false};
  if (m.mode == Mode::kGroup) {
    // The group reads every lane with a matching topic, if it did not before, and offers it.
    auto g = group_for(filter);
    if (g.ok()) {
      for (auto& [id, s] : (*g)->sources)
        if (s->lane->kind == LaneKind::kLane) offer(p, *s->lane, interest);
    }
  } else {
    for (auto& [id, lane] : lanes_) {
      offer(p, *lane, interest);
      for (auto& f : lane->forwards) {
        if (f->peer != &p || f->group != nullptr || f->ending) continue;
        // Who comes now has not waited yet.
        if (m.path == attach::PathPolicy::kRequireZeroCopy) {
          f->gave_up = false;
          f->held_since = 0;
        }
        set_shed(*lane, *f, &interest);
      }
    }
  }
  if (interest.waiting.empty()) acknowledge(p, m.key, interest);
}

void Node::on_sub_all(PeerRecord& p, const peer::SubAll&) {
  p.absent.clear();
  forget_missed(p);
}

// What nobody there wants any more nobody there misses.
void Node::forget_missed(PeerRecord& p) {
  const auto wanted = [&](const std::string& topic) {
    return !topic.empty() && std::ranges::any_of(p.interests, [&](const auto& i) {
      return i.second.mode == Mode::kBroadcast && matches(i.second.filter, topic);
    });
  };
  for (auto& [id, lane] : lanes_)
    if (lane->missed.contains(p.id) && std::ranges::none_of(lane->topics, wanted))
      lane->missed.erase(p.id);
}

void Node::acknowledge(PeerRecord& p, uint64_t key, Interest& interest) {
  if (std::exchange(interest.acknowledged, true)) return;
  peer::SubAck m;
  m.key = key;
  send(p, m);
}

void Node::on_sub_del(PeerRecord& p, const peer::SubDel& m) {
  p.denied.erase(m.key);
  const auto it = p.interests.find(m.key);
  if (it == p.interests.end()) return;
  const Interest gone = std::move(it->second);
  p.interests.erase(it);
  forget_missed(p);
  std::vector<ForwardRecord*> unwanted;
  for (auto& [id, lane] : lanes_) {
    for (auto& f : lane->forwards) {
      if (f->peer != &p || f->ending) continue;
      if (gone.mode == Mode::kGroup) {
        if (f->group != nullptr && f->group->filter == gone.filter) unwanted.push_back(f.get());
      } else if (f->group == nullptr && skip_unwanted(*lane, *f) == 0) {
        unwanted.push_back(f.get());
      }
    }
  }
  for (ForwardRecord* f : unwanted)
    end_forward(*f, f->group != nullptr ? Drop::kNoMember : Drop::kNone, true);
  if (gone.mode == Mode::kGroup)
    if (const auto g = groups_.find(gone.filter); g != groups_.end())
      end_group_if_unused(*g->second);
}

// What the forward may pass over: nothing as long as one who reads the lane there must miss
// nothing; and whether large messages wait for RDMA. That one, `waiting` if not null, hears that it
// is joined when that is so.
void Node::set_shed(LaneRecord& lane, ForwardRecord& f, Interest* waiting) {
  Forward::Shed shed{.may = true};
  bool first = true;
  f.zero_copy = false;
  for (const auto& [key, i] : f.peer->interests) {
    if (i.mode != Mode::kBroadcast) continue;
    if (std::ranges::none_of(
            lane.topics, [&](const std::string& t) { return !t.empty() && matches(i.filter, t); }))
      continue;
    shed.may = shed.may && !i.overflow.holds_back();
    f.zero_copy = f.zero_copy || i.path == attach::PathPolicy::kRequireZeroCopy;
    const auto wider = [&](uint64_t a, uint64_t b) {
      return first ? b : a == 0 || b == 0 ? 0 : std::max(a, b);
    };
    shed.messages = wider(shed.messages, i.overflow.limit_messages);
    shed.bytes = wider(shed.bytes, i.overflow.limit_bytes);
    first = false;
  }
  if (first || !shed.may) shed = {};
  if (f.zero_copy && waits_for_rdma(f)) shed.hold_from = config_.put_from_bytes;
  const bool changes = std::exchange(f.shed, shed) != shed && f.forward != nullptr;
  if (waiting != nullptr && (changes || *f.shedding != 0))
    waiting->waiting.insert({f.alias, kShedding});
  if (!changes) return;
  ++*f.shedding;
  errands(f.peer->paths[f.path_index].worker)
      .send([forward = f.forward.get(), shed](Worker&, uint64_t) { forward->set_shed(shed); },
            [n = f.shedding, done = when_ready(f, kShedding)] {
              if (--*n == 0) done();
            });
}

// Topics that no interest of the peer wants are skipped. Returns how many are wanted. Of one that
// is ending nothing is asked any more: it is freed before that would run. Who wants a topic of a
// lane that is closed came too late for it: it is not asked for any more, and nothing waits for it.
size_t Node::skip_unwanted(LaneRecord& lane, ForwardRecord& f) {
  size_t wanted = 0;
  if (f.group != nullptr || f.ending) return 1;
  set_shed(lane, f, nullptr);
  for (uint32_t t = 0; t < lane.topics.size(); t++) {
    if (lane.topics[t].empty()) continue;
    const bool may = !lane.closed || f.topics.contains(t);
    const bool want =
        may && std::any_of(f.peer->interests.begin(), f.peer->interests.end(), [&](const auto& i) {
          return i.second.mode == Mode::kBroadcast && matches(i.second.filter, lane.topics[t]);
        });
    if (want) {
      wanted++;
    } else if (f.forward != nullptr) {
      f.topics.erase(t);
      errands(f.peer->paths[f.path_index].worker)
          .send([forward = f.forward.get(), t](Worker&, uint64_t) {
            forward->set_topic(t, TopicUse::kSkip);
          });
    }
  }
  return wanted;
}

}  // namespace penstock
