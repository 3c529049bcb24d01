// Groups: subscriptions that share a filter and share the messages. A group's worker reads every
// lane with a matching topic and writes the inboxes of the members here.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

// The topics of a lane by id, for a group: the row in its inboxes, or not its own.
uint32_t inbox_topic(const GroupRecord& g, const std::string& name) {
  const auto it = std::find(g.topics.begin(), g.topics.end(), name);
  return it == g.topics.end() ? kNoTopic : static_cast<uint32_t>(it - g.topics.begin());
}

// A topic that the group wants but has no row for yet stays undecided when its source begins:
// group_topic() is about to give it one, and until then its messages wait. With no rows left it
// gets none.
void decide_topic(const GroupRecord& g, const LaneRecord& lane, GroupSource& source, uint32_t topic,
                  uint32_t rows) {
  const std::string& name = lane.topics[topic];
  if (name.empty()) return;
  const uint32_t row = inbox_topic(g, name);
  const bool wanted = lane.group == g.filter || matches(g.filter, name);
  if (row != kNoTopic || !wanted || g.topics.size() >= rows) source.set_topic(topic, row);
}

}  // namespace

// Made if there is none. One that nobody wanted for a while may have let go of some of its lanes
// and not of others yet: those it reads anew.
Result<GroupRecord*> Node::group_for(std::string_view filter) {
  auto it = groups_.find(filter);
  if (it == groups_.end()) {
    auto made = std::make_unique<GroupRecord>();
    made->filter = filter;
    made->worker = static_cast<uint32_t>(std::hash<std::string_view>{}(filter) % workers_.size());
    it = groups_.emplace(made->filter, std::move(made)).first;
  }
  GroupRecord& g = *it->second;
  for (auto& [id, lane] : lanes_) {
    if (!lane->sealed || lane->closed || g.sources.contains(id)) continue;
    const bool ours = lane->group.empty() ? lane->kind == LaneKind::kLane : lane->group == g.filter;
    if (!ours) continue;
    for (uint32_t t = 0; t < lane->topics.size(); t++)
      if (!lane->topics[t].empty()) group_topic(g, *lane, t);
  }
  return &g;
}

Errc Node::add_member(Subscription& s, const LaneGeometry& geometry) {
  auto found = group_for(s.filter);
  if (!found.ok()) return found.error();
  GroupRecord& g = **found;
  LaneGeometry inbox = geometry;
  inbox.topics = std::max(inbox.topics, config_.inbox.topics);
  const auto bell = own_bell_slots_.take();
  auto made = bell ? make_lane(LaneKind::kInbox, inbox, "penstock-inbox") : Errc::kFull;
  if (!made.ok()) {
    if (bell) own_bell_slots_.give_back(*bell);
    end_group_if_unused(g);
    return made.error();
  }
  LaneRecord& lane = **made;
  lane.worker = g.worker;
  lane.name = g.filter;
  lane.rule = s.client->rule;
  lane.inbox_of = &s;
  lane.bells = &own_bells_;
  lane.bell_slot = *bell;
  lane.topics = g.topics;
  lane.member = std::make_unique<GroupMember>();
  lane.member->inbox = lane.writer.get();
  s.group = &g;
  s.inbox = &lane;
  g.members.push_back(&s);
  if (g.members.size() == 1) read_mirrors(g);
  errands(g.worker).send([w = lane.writer.get(), names = g.topics](Worker&, uint64_t) {
    for (uint32_t t = 0; t < names.size(); t++)
      (void)w->put_topic(t, bare_name(names[t]));
  });
  join_subscription(lane, s);
  errands(g.worker).send(
      [group = &g.group, m = lane.member.get()](Worker&, uint64_t) { group->add(m); });
  return Errc::kOk;
}

// Nobody here read them as long as the group had members at peers only.
void Node::read_mirrors(GroupRecord& g) {
  for (auto& [id, lane] : lanes_) {
    if (lane->kind != LaneKind::kMirror || lane->group != g.filter || lane->closed) continue;
    for (uint32_t t = 0; t < lane->topics.size(); t++)
      if (!lane->topics[t].empty()) group_topic(g, *lane, t);
  }
}

// A source for the lane if it has not got one, and what its topic is called in the inboxes.
void Node::group_topic(GroupRecord& g, LaneRecord& lane, uint32_t topic) {
  const std::string& name = lane.topics[topic];
  const bool wanted = lane.group == g.filter || matches(g.filter, name);
  if (!wanted) {
    if (const SourceRecord* known = find_source(g, lane))
      errands(g.worker).send(
          [s = known->source.get(), topic](Worker&, uint64_t) { s->set_topic(topic, kNoTopic); });
    return;
  }
  if (inbox_topic(g, name) == kNoTopic) {
    if (g.topics.size() >= config_.inbox.topics) {
      note(EventName::kTopicsFull,
           fmt::format("group '{}' has {} topics (inbox.topics); '{}' is not delivered to it",
                       g.filter, g.topics.size(), name));
      if (const SourceRecord* known = find_source(g, lane))
        errands(g.worker).send(
            [s = known->source.get(), topic](Worker&, uint64_t) { s->set_topic(topic, kNoTopic); });
      return;
    }
    g.topics.push_back(name);
    const auto row = static_cast<uint32_t>(g.topics.size() - 1);
    for (auto& [id, l] : lanes_) {
      if (l->kind != LaneKind::kInbox || l->name != g.filter || l->dying) continue;
      l->topics = g.topics;
      errands(g.worker).send([w = l->writer.get(), row, shown = std::string(bare_name(name))](
                                 Worker&, uint64_t) { (void)w->put_topic(row, shown); });
    }
  }
  SourceRecord* s =
      has_takers(g, lane) || lane.kind == LaneKind::kLane ? source_for(g, lane) : nullptr;
  if (s == nullptr) return;
  errands(g.worker).send([source = s->source.get(), topic, row = inbox_topic(g, name)](
                             Worker&, uint64_t) { source->set_topic(topic, row); });
  if (lane.kind != LaneKind::kLane) return;
  for (auto& [id, p] : peers_)
    for (auto& [key, interest] : p->interests)
      if (interest.mode == Mode::kGroup && interest.filter == g.filter) offer(*p, lane, interest);
}

// Null for one that is leaving, too: it is freed before anything asked of it now would run.
SourceRecord* Node::find_source(GroupRecord& g, const LaneRecord& lane) const {
  const auto it = g.sources.find(lane.id);
  return it == g.sources.end() || it->second->leaving ? nullptr : it->second.get();
}

// Null while the one before is leaving: that stays, if it is wanted by then.
SourceRecord* Node::source_for(GroupRecord& g, LaneRecord& lane) {
  if (SourceRecord* known = find_source(g, lane)) return known;
  if (g.sources.contains(lane.id)) return nullptr;
  PositionTableRecord* table = worker_table(g.worker);
  if (table == nullptr) return nullptr;
  auto joined = join(lane, *table, false);
  if (!joined.ok()) {
    note(EventName::kLaneRefused, fmt::format("group '{}' cannot read lane {}: {}", g.filter,
                                              lane.id, text(joined.error())));
    return nullptr;
  }
  auto s = std::make_unique<SourceRecord>();
  s->group = &g;
  s->lane = &lane;
  s->reader = *joined;
  s->reader->source = s.get();
  s->source = std::make_unique<GroupSource>(worker_join(*s->reader), g.group);
  s->source->bells = lane.bells;
  s->source->bell_slot = lane.bell_slot;
  for (uint32_t t = 0; t < lane.topics.size(); t++)
    decide_topic(g, lane, *s->source, t, config_.inbox.topics);
  tell_writer(*s->reader, -1);
  errands(g.worker).send(
      [source = s->source.get()](Worker& w, uint64_t) { w.tasks().add(source); });
  SourceRecord& made = *s;
  g.sources[lane.id] = std::move(s);
  return &made;
}

// Takes the source off the worker, then gives up its place in the lane. What it had not dispatched
// is dropped: nobody in the group could take it.
void Node::remove_source(SourceRecord& s) {
  if (s.leaving) return;
  s.leaving = true;
  std::vector<ForwardRecord*> remotes;
  for (auto& f : s.lane->forwards)
    if (f->group == s.group && !f->ending) remotes.push_back(f.get());
  for (ForwardRecord* f : remotes)
    end_forward(*f, Drop::kNoMember, true);
  take_off_worker(s);
}

// When the last of its forwards has ended: that of a device may take longer.
void Node::take_off_worker(SourceRecord& s) {
  if (std::ranges::any_of(s.lane->forwards, [&](const auto& f) { return f->group == s.group; }))
    return;
  errands(s.group->worker)
      .send([source = s.source.get()](Worker& w, uint64_t) { w.tasks().remove(source); },
            [this, &s] {
              LaneRecord& lane = *s.lane;
              GroupRecord& g = *s.group;
              if (has_takers(g, lane) && !drained(lane, *s.reader)) return stay(s);
              part(*s.reader, Drop::kNoMember);
              std::erase_if(g.sources, [&](const auto& e) { return e.second.get() == &s; });
              lane_progress(lane);
              end_group_if_unused(g);
            });
}

// Somebody has joined the group meanwhile: all from there on is theirs, and it lies here.
void Node::stay(SourceRecord& s) {
  s.leaving = false;
  errands(s.group->worker).send([source = s.source.get()](Worker& w, uint64_t) {
    w.tasks().add(source);
  });
  for (uint32_t t = 0; t < s.lane->topics.size(); t++)
    if (!s.lane->topics[t].empty()) group_topic(*s.group, *s.lane, t);
  lane_progress(*s.lane);
}

bool Node::wanted_by_peer(const GroupRecord& g) const {
  for (const auto& [id, p] : peers_)
    for (const auto& [key, i] : p->interests)
      if (i.mode == Mode::kGroup && i.filter == g.filter) return true;
  return false;
}

bool Node::in_use(const GroupRecord& g) const {
  return !g.members.empty() || wanted_by_peer(g);
}

// What is in a mirror or an inbox is for members here: it never goes to another peer.
bool Node::has_takers(const GroupRecord& g, const LaneRecord& lane) const {
  return lane.kind == LaneKind::kLane ? in_use(g) : !g.members.empty();
}

// Without members here nobody will take what came from peers or lies in inboxes; without any,
// nothing at all.
void Node::end_group_if_unused(GroupRecord& g) {
  for (auto& [id, s] : g.sources)
    if (!s->leaving && !has_takers(g, *s->lane)) remove_source(*s);
  if (in_use(g)) return;
  const bool idle = g.sources.empty();
  const bool inboxes = std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& l) {
    return l.second->kind == LaneKind::kInbox && l.second->name == g.filter;
  });
  if (!idle || inboxes) return;
  // The worker may still hold a pointer to it in errands that were sent before.
  std::shared_ptr<GroupRecord> gone(std::move(groups_.find(g.filter)->second));
  groups_.erase(gone->filter);
  errands(gone->worker).send([](Worker&, uint64_t) {}, [gone] {});
}

// A member that left lets go of its inbox; what it had not taken goes to the others.
void Node::remove_member(Subscription& s, bool died) {
  GroupRecord& g = *s.group;
  LaneRecord& inbox = *s.inbox;
  std::erase(g.members, &s);
  s.group = nullptr;
  s.inbox = nullptr;
  inbox.inbox_of = nullptr;
  const auto it = s.lanes.find(inbox.id);
  ReaderRecord* r = it == s.lanes.end() ? nullptr : it->second;
  s.lanes.clear();
  if (r != nullptr) r->subscription = nullptr;
  errands(g.worker).send(
      [group = &g.group, m = inbox.member.get()](Worker&, uint64_t) { group->remove(m); },
      [this, &g, &inbox, r, died] {
        close_lane(inbox, died ? CloseReason::kPublisherDied : CloseReason::kPublisherLeft);
        if (r != nullptr && r->evicted) inbox.desk.evict(r->index);
        if (r != nullptr && !adopt_inbox(g, inbox, *r)) part(*r, Drop::kNoMember);
        lane_progress(inbox);
        end_group_if_unused(g);
      });
}

// The group reads the inbox from where its member stopped. False: nothing is left in it, or nobody
// to take it.
bool Node::adopt_inbox(GroupRecord& g, LaneRecord& inbox, ReaderRecord& r) {
  const Totals t = totals(r);
  if (t.position - r.start == t.sent || !has_takers(g, inbox)) return false;
  PositionTableRecord* table = worker_table(g.worker);
  const auto slot = table != nullptr ? table->slots.take() : std::nullopt;
  if (!slot) return false;
  // The same mark with another slot: what the member consumed is settled, the rest is the group's.
  const uint64_t taken = t.position - r.start;
  inbox.left.add({.sent = taken, .delivered = t.delivered, .dropped = t.dropped});
  ended_.delivered[static_cast<size_t>(Taker::kClient)] += t.delivered;
  r.table->slots.give_back(r.slot);
  r.table = table;
  r.slot = *slot;
  r.start = t.position;
  r.evicted = r.lied = false;
  auto s = std::make_unique<SourceRecord>();
  s->group = &g;
  s->lane = &inbox;
  s->reader = &r;
  r.source = s.get();
  s->source = std::make_unique<GroupSource>(worker_join(r), g.group);
  s->source->bells = inbox.bells;
  s->source->bell_slot = inbox.bell_slot;
  for (uint32_t i = 0; i < inbox.topics.size(); i++)
    s->source->set_topic(i, i);
  tell_writer(r, -1);
  errands(g.worker).send(
      [source = s->source.get()](Worker& w, uint64_t) { w.tasks().add(source); });
  g.sources[inbox.id] = std::move(s);
  return true;
}

}  // namespace penstock
