// Forwards: our lanes on their way to peers, from the first topic asked for to the last message.
#include <algorithm>
#include <fmt/format.h>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"

namespace penstock {

// Every topic of the lane that the interest wants and the peer has not been asked to take. Of a
// lane that is closed only what a group still holds for its members.
void Node::offer(PeerRecord& p, LaneRecord& lane, Interest& interest) {
  if (lane.kind != LaneKind::kLane || !lane.sealed || !p.up()) return;
  if (lane.closed && interest.mode != Mode::kGroup) return;
  GroupRecord* g = nullptr;
  if (interest.mode == Mode::kGroup) {
    const auto it = groups_.find(interest.filter);
    if (it == groups_.end() || find_source(*it->second, lane) == nullptr) return;
    g = it->second.get();
  }
  for (uint32_t t = 0; t < lane.topics.size(); t++) {
    if (lane.topics[t].empty() || !matches(interest.filter, lane.topics[t])) continue;
    ForwardRecord* f = forward_for(p, lane, g);
    if (f == nullptr) return;
    if (f->ending) return wait_for_end(*f, interest);
    ask_topic(*f, t);
    if (f->topics[t] == ForwardRecord::Use::kAsked && !interest.acknowledged)
      interest.waiting.insert({f->alias, t});
  }
}

// As long as the one before is not off its worker it may still bring messages there; a new one that
// began now would bring them twice. Who asked now waits, who was promised them before is told.
void Node::wait_for_end(ForwardRecord& f, Interest& interest) {
  f.again = true;
  if (!interest.acknowledged) {
    interest.waiting.insert({f.alias, kNoTopic});
  } else if (f.group == nullptr) {
    f.lane->miss(f.peer->id, {f.peer->epoch, f.lane->head()});
  }
}

// A broadcast forward joins the lane now: what is published from here on it holds until the peer is
// ready. One that is ending: there can be no other yet.
ForwardRecord* Node::forward_for(PeerRecord& p, LaneRecord& lane, GroupRecord* g) {
  for (auto& f : lane.forwards) {
    if (f->peer != &p || f->group != g) continue;
    if (!f->ending || f->lost || g == nullptr) return f.get();
  }
  const uint32_t worker = g != nullptr ? g->worker : lane.worker;
  uint32_t index = 0;
  while (index < p.paths.size() && (p.paths[index].worker != worker || !p.paths[index].up))
    index++;
  if (index == p.paths.size()) {  // offered again when a path of that worker is up
    if (g == nullptr) lane.miss(p.id, {p.epoch, lane.head()});
    return nullptr;
  }
  auto f = std::make_unique<ForwardRecord>();
  f->peer = &p;
  f->lane = &lane;
  f->group = g;
  f->path = p.paths[index].path.get();
  f->path_index = index;
  f->epoch = p.epoch;
  f->alias = p.next_alias++;
  if (g == nullptr) {
    PositionTableRecord* table = worker_table(worker);
    if (table == nullptr) return nullptr;
    auto joined = join(lane, *table, false);
    if (!joined.ok()) {
      note(EventName::kLaneRefused, fmt::format("lane {} ({}) cannot be forwarded to node {}: {}",
                                                lane.id, lane.name, p.id, text(joined.error())));
      return nullptr;
    }
    f->reader = *joined;
    f->reader->forward = f.get();
    f->owed_from = f->reader->start;
    if (const auto m = lane.missed.find(p.id); m != lane.missed.end()) {
      if (m->second.peer_epoch == p.epoch)
        f->owed_from = std::min(m->second.from, f->reader->start);
      lane.missed.erase(m);
    }
    tell_writer(*f->reader, -1);
  }
  if (g != nullptr)
    if (const auto at = g->sources.find(lane.id);
        at != g->sources.end() && at->second->source != nullptr && !at->second->leaving)
      errands(g->worker).send(
          [source = at->second->source.get()](Worker&, uint64_t) { source->accept(); });
  ForwardRecord& made = *f;
  lane.forwards.push_back(std::move(f));
  return &made;
}

// Once for each time that the peer said not yet, so it gets no more of these than it answers.
void Node::ask_again(LaneRecord& lane) {
  for (auto& f : lane.forwards) {
    if (f->ending) continue;
    for (const uint32_t topic : std::exchange(f->put_off, {})) {
      f->topics.erase(topic);
      ask_topic(*f, topic);
    }
  }
}

void Node::ask_topic(ForwardRecord& f, uint32_t topic) {
  if (!f.topics.try_emplace(topic, ForwardRecord::Use::kAsked).second) return;
  f.asks[topic]++;
  const LaneRecord& lane = *f.lane;
  peer::LaneTopic m;
  m.mode = f.group != nullptr ? Mode::kGroup : Mode::kBroadcast;
  m.path = f.path_index;
  m.alias = f.alias;
  m.epoch = 1;
  m.topic = topic;
  m.lane_id = lane.id;
  m.geometry = lane.geometry;
  m.session = f.peer->paths[f.path_index].session;
  peer::set_text(m.name, lane.topics[topic]);
  if (f.group != nullptr) peer::set_text(m.group, f.group->filter);
  peer::set_text(m.publisher, lane.name);
  send(*f.peer, m);
}

ForwardRecord* Node::find_forward(PeerRecord& p, uint32_t path, uint32_t alias) {
  for (auto& [id, lane] : lanes_)
    for (auto& f : lane->forwards)
      if (f->peer == &p && f->path_index == path && f->alias == alias && !f->ending) return f.get();
  return nullptr;
}

void Node::on_lane_ready(PeerRecord& p, const peer::LaneReady& m) {
  ForwardRecord* f = find_forward(p, m.path, m.alias);
  if (f == nullptr || !f->topics.contains(m.topic)) return;  // ended meanwhile
  const bool started = f->forward != nullptr || f->remote != nullptr;
  const LaneGeometry& lane = f->lane->geometry;
  const bool fits = m.mirror.valid() && m.mirror.topics <= lane.topics &&
                    m.mirror.ring_log2 <= lane.ring_log2 && m.mirror.arena_log2 <= lane.arena_log2;
  if (!fits || (started && !(m.mirror == f->mirror))) {
    note(EventName::kPeerNonsense,
         fmt::format("node {} answers with a mirror that makes no sense: lane {} not forwarded",
                     p.id, f->lane->id));
    end_forward(*f, Drop::kPeerDown, true);
    return;
  }
  if (!started) start_forward(*f, m.mirror);
  topic_ready(*f, m.topic);
}

void Node::start_forward(ForwardRecord& f, const LaneGeometry& mirror) {
  LaneRecord& lane = *f.lane;
  f.mirror = mirror;
  const uint32_t worker = f.peer->paths[f.path_index].worker;
  const uint64_t session = f.peer->paths[f.path_index].session;
  if (f.group == nullptr) {
    if (lane.chain == nullptr && config_.chain_from_bytes != 0)
      lane.chain = std::make_unique<Chain>(config_.chain_from_bytes);
    f.forward = std::make_unique<Forward>(Forward::Config{.join = worker_join(*f.reader),
                                                          .path = f.path,
                                                          .alias = f.alias,
                                                          .epoch = 1,
                                                          .mirror = mirror,
                                                          .region = &lane.region,
                                                          .every_topic = false,
                                                          .missed = f.reader->start - f.owed_from,
                                                          .shed = f.shed,
                                                          .chain = lane.chain.get()});
    f.forward->bells = lane.bells;
    f.forward->bell_slot = lane.bell_slot;
    errands(worker).ask(
        [forward = f.forward.get(), path = f.path, session](Worker& w, uint64_t) {
          if (!path->link.in_session(session)) return Errc::kOk;  // its end is on the way here
          const Errc e = path->link.add_out(&forward->out());
          if (e == Errc::kOk) w.tasks().add(forward);
          return e;
        },
        [this, &f](Errc e) { forward_started(f, e); });
    for (auto& r : f.peer->paths[f.path_index].rdma)
      put_forward(f, *r);
    skip_unwanted(lane, f);
    for (const auto& [topic, use] : f.topics)
      if (use == ForwardRecord::Use::kRefused) topic_refused(f, topic);
    return;
  }
  GroupSource* source = find_source(*f.group, lane)->source.get();
  f.remote =
      std::make_unique<RemoteMember>(source->reader(), f.path, f.alias, 1, mirror, &lane.region);
  errands(worker).ask(
      [remote = f.remote.get(), source, path = f.path, session](Worker&, uint64_t) {
        if (!path->link.in_session(session)) return Errc::kOk;
        const Errc e = path->link.add_out(&remote->out());
        if (e == Errc::kOk) source->add_remote(remote);
        return e;
      },
      [this, &f](Errc e) { forward_started(f, e); });
  for (auto& r : f.peer->paths[f.path_index].rdma)
    put_forward(f, *r);
}

// One that the link does not take ends: its mark would hold the publisher back for ever.
void Node::forward_started(ForwardRecord& f, Errc how) {
  if (how == Errc::kOk || f.ending) return;
  note(EventName::kLaneRefused, fmt::format("lane {} ({}) cannot be forwarded to node {}: {}",
                                            f.lane->id, f.lane->name, f.peer->id, text(how)));
  end_forward(f, Drop::kRefused, true);
}

// Who waited for this of the forward may know that it is so.
std::function<void()> Node::when_ready(const ForwardRecord& f, uint32_t topic) {
  return [this, &peer = *f.peer, alias = f.alias, topic] {
    for (auto& [key, interest] : peer.interests)
      if (interest.waiting.erase({alias, topic}) != 0 && interest.waiting.empty())
        acknowledge(peer, key, interest);
  };
}

// The peer has joined its readers: messages of the topic may flow, and who waited for it may know.
// Nobody before the worker knows: until then it may skip them. And when the topic was unwanted and
// asked for again meanwhile, it skips them now.
void Node::topic_ready(ForwardRecord& f, uint32_t topic) {
  const uint32_t worker = f.peer->paths[f.path_index].worker;
  const auto done = [this, &peer = *f.peer, path = f.path_index, alias = f.alias, topic,
                     ask = f.asks[topic], tell = when_ready(f, topic)] {
    if (ForwardRecord* known = find_forward(peer, path, alias); known != nullptr) {
      if (known->asks[topic] != ask) return;
      if (const auto t = known->topics.find(topic);
          t != known->topics.end() && t->second == ForwardRecord::Use::kAsked)
        t->second = ForwardRecord::Use::kReady;
    }
    tell();
  };
  if (f.forward != nullptr) {
    errands(worker).send([forward = f.forward.get(), topic](
                             Worker&, uint64_t) { forward->set_topic(topic, TopicUse::kSend); },
                         done);
  } else {
    errands(worker).send(
        [remote = f.remote.get(), topic](Worker&, uint64_t) { remote->allow(topic); }, done);
  }
}

// The lane goes on without it; a lane of which nothing else is wanted does not go there at all.
void Node::topic_refused(ForwardRecord& f, uint32_t topic) {
  f.topics[topic] = ForwardRecord::Use::kRefused;
  if (f.forward != nullptr) {
    errands(f.peer->paths[f.path_index].worker)
        .send([forward = f.forward.get(), topic](Worker&, uint64_t) {
          forward->set_topic(topic, TopicUse::kRefuse);
        });
  } else if (f.remote != nullptr) {
    errands(f.peer->paths[f.path_index].worker)
        .send([remote = f.remote.get(), topic](Worker&, uint64_t) { remote->refuse(topic); });
  } else if (std::ranges::all_of(f.topics, [](const auto& t) {
               return t.second == ForwardRecord::Use::kRefused;
             })) {
    forward_refused(f, false);
  }
}

// Nothing of the lane goes there. Of a group that has nobody else the publisher waits for nobody.
void Node::forward_refused(ForwardRecord& f, bool tell) {
  LaneRecord& lane = *f.lane;
  GroupRecord* g = f.group;
  std::vector<uint32_t> topics;
  for (const auto& [t, use] : f.topics)
    topics.push_back(t);
  end_forward(f, Drop::kRefused, tell);
  if (g == nullptr || std::ranges::any_of(lane.forwards, [&](const auto& other) {
        return other->group == g && !other->ending;
      }))
    return;
  const auto at = g->sources.find(lane.id);
  if (at == g->sources.end() || at->second->source == nullptr || at->second->leaving) return;
  errands(g->worker).send([source = at->second->source.get(), topics](Worker&, uint64_t) {
    for (const uint32_t t : topics)
      source->refuse(t);
  });
}

void Node::on_lane_refused(PeerRecord& p, const peer::LaneRefused& m) {
  ForwardRecord* f = find_forward(p, m.path, m.alias);
  if (f == nullptr) return;
  if (static_cast<Errc>(m.code) == Errc::kWouldBlock) {
    const auto t = f->topics.find(m.topic);
    if (t != f->topics.end() && t->second == ForwardRecord::Use::kAsked) f->put_off.insert(m.topic);
    return;
  }
  const bool denied = static_cast<Errc>(m.code) == Errc::kDenied && m.topic != kNoTopic;
  if (denied || static_cast<Errc>(m.code) == Errc::kBadTopic) {
    if (!f->topics.contains(m.topic)) return;
    LaneRecord& lane = *f->lane;
    if (denied)
      note(EventName::kDenied, fmt::format("node {} ({}) does not let this node send '{}': see its "
                                           "rules; it does not get there",
                                           p.id, p.name, lane.topics[m.topic]));
    else if (!std::exchange(lane.refused, true))
      note(EventName::kTopicsFull,
           fmt::format("node {} cannot name topic '{}' of lane {} ({}), its number {}: raise "
                       "mirror.topics there; until then it and those after it do not get there",
                       p.id, lane.topics[m.topic], lane.id, lane.name, m.topic + 1));
    topic_refused(*f, m.topic);
    for (auto& [key, interest] : p.interests)
      if (interest.waiting.erase({m.alias, m.topic}) != 0 && interest.waiting.empty())
        acknowledge(p, key, interest);
    return;
  }
  note(EventName::kLaneRefused, fmt::format("node {} refuses lane {} ({}): {}", p.id, f->lane->id,
                                            f->lane->name, text(static_cast<Errc>(m.code))));
  // The peer may have heard of another topic of the lane since: then it has a mirror again.
  forward_refused(*f, static_cast<Errc>(m.code) == Errc::kDenied);
}

// Whom the publisher waits for: the slowest of its readers, and there the slowest of theirs.
void Node::tell_held(LaneRecord& lane, uint64_t head, uint64_t slowest) {
  for (auto& f : lane.forwards) {
    if (f->forward == nullptr || f->ending) continue;
    const bool held = lane.held(head) && f->reader->let_go() <= slowest;
    if (std::exchange(f->held, held) == held) continue;
    peer::LaneHeld m;
    m.path = f->path_index;
    m.alias = f->alias;
    m.epoch = 1;
    m.held = held ? 1 : 0;
    send(*f->peer, m);
  }
}

}  // namespace penstock
