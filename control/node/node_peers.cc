// Peers: what they ask for, and the lanes that we forward to them.
#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <new>

#include "control/node/node.h"
#include "dataplane/topic/filter.h"

namespace penstock {
namespace {

const char* why_text(LinkEvent::Why why) {
  switch (why) {
    case LinkEvent::kSilent:
      return "it was not heard";
    case LinkEvent::kPeerRestarted:
      return "it restarted";
    case LinkEvent::kPeerReset:
      return "it began anew";
    case LinkEvent::kPeerClosed:
      return "it closed";
    case LinkEvent::kClosedHere:
      return "closed here";
    case LinkEvent::kPeerVersion:
      return "it speaks another protocol version: upgrade one of the two";
    case LinkEvent::kStaleHere:
      return "it knows a newer start of this node: this process is a left-over, stop it";
    case LinkEvent::kNothing:
      break;
  }
  return "no reason given";
}

}  // namespace

ControlChannel::PrivateLane::PrivateLane(uint64_t id)
    : storage(static_cast<std::byte*>(std::calloc(kControlGeometry.total_bytes() + 4096, 1)),
              &std::free),
      page(std::make_unique<NodePage>()) {
  if (storage == nullptr) throw std::bad_alloc();
  const auto at = (reinterpret_cast<uintptr_t>(storage.get()) + 4095) & ~uintptr_t{4095};
  memory = reinterpret_cast<std::byte*>(at);
  LaneWriter::format(memory, kControlGeometry, id, 1);
  desk = LaneDesk(page.get(), reinterpret_cast<const LaneHeader*>(memory), id);
  const auto joined = desk.join(false);
  join = {.memory = memory,
          .geometry = kControlGeometry,
          .page = page.get(),
          .index = (*joined).index,
          .generation = (*joined).generation,
          .slot = &slot,
          .start = 0,
          .lossy = false};
}

ControlChannel::ControlChannel(uint64_t id)
    : out(id), in(id), writer(out.memory, kControlGeometry, out.page.get()) {
  (void)writer.add_topic("control");
  mirror = std::make_unique<LaneWriter>(in.memory, kControlGeometry, in.page.get());
  (void)mirror->add_topic("control");
  in_lane = std::make_unique<InLane>(kControlAlias, 1, *mirror, id);
  reader = LaneReader(in.join);
}

void Node::on_notice(const LinkNotice& notice, uint64_t now) {
  for (auto& [id, p] : peers_) {
    for (uint32_t i = 0; i < p->paths.size(); i++) {
      if (p->paths[i].path.get() != notice.path) continue;
      if (notice.event.kind == LinkEvent::kUp) {
        if (notice.event.peer_epoch != p->epoch) fence(*p, notice.event.peer_epoch);
        // An earlier life on one path while a later one is up on another: its end is on the way.
        if (notice.event.peer_epoch == p->epoch) path_up(*p, i, notice.event.session, now);
      } else if (notice.event.kind == LinkEvent::kDown) {
        path_down(*p, i, notice.event.why);
      } else {
        p->paths[i].refused = true;
        raise(EventName::kPeerRefused, path_name(*p, i),
              fmt::format("node {} ({}) refuses this node on path {}: {}", p->id, p->name, i,
                          why_text(notice.event.why)));
      }
      return;
    }
  }
}

// Each link fences what it has seen itself; all of a peer's paths are to be with the same life.
// What the one before wanted must not be taken for a wish of this one.
void Node::fence(PeerRecord& p, uint64_t epoch) {
  if (epoch > p.epoch)
    for (uint32_t i = 0; i < p.paths.size(); i++)
      path_down(p, i, LinkEvent::kPeerRestarted);
  p.epoch = std::max(p.epoch, epoch);
  for (PathRecord& path : p.paths)
    errands(path.worker).send([l = path.path.get(), e = p.epoch](Worker&, uint64_t now) {
      l->link.fence(e, now);
    });
}

void Node::path_up(PeerRecord& p, uint32_t index, uint64_t session, uint64_t now) {
  PathRecord& path = p.paths[index];
  path_down(p, index, LinkEvent::kPeerReset);  // nothing of a session survives into the next
  path.up = true;
  path.up_since = now;
  path.session = session;
  clear(EventName::kLinkDown, path_name(p, index),
        fmt::format("node {} ({}) is up on path {}", p.id, p.name, index));
  if (std::exchange(path.refused, false))
    clear(EventName::kPeerRefused, path_name(p, index),
          fmt::format("node {} ({}) takes this node again on path {}", p.id, p.name, index));
  if (index != 0) {
    for (auto& [key, interest] : p.interests)
      for (auto& [id, lane] : lanes_)
        offer(p, *lane, interest);
    return;
  }
  if (std::exchange(p.absent_epoch, p.epoch) != p.epoch) p.absent.clear();
  p.channel = std::make_shared<ControlChannel>(p.id);
  ControlChannel& c = *p.channel;
  const auto bell = own_bell_slots_.take();
  c.bell_slot = bell.value_or(0);
  c.forward = std::make_unique<Forward>(Forward::Config{.join = c.out.join,
                                                        .path = path.path.get(),
                                                        .alias = kControlAlias,
                                                        .epoch = 1,
                                                        .mirror = kControlGeometry,
                                                        .region = nullptr,
                                                        .every_topic = true});
  if (bell) {
    c.forward->bells = &own_bells_;
    c.forward->bell_slot = *bell;
    c.writer.attach_reader(c.out.join.index, c.out.join.generation, &c.out.slot,
                           worker_wake(path.worker, &own_bells_, *bell));
  }
  c.mirror->attach_reader(
      c.in.join.index, c.in.join.generation, &c.in.slot,
      {.event_fd = control_event_.get(), .bell = nullptr, .bell_bit = 0, .sleeper = nullptr});
  errands(path.worker).send([ch = p.channel, l = path.path.get(), session](Worker& w, uint64_t) {
    if (!l->link.in_session(session)) return;  // its end is on the way here
    (void)l->link.add_in(ch->in_lane.get());
    (void)l->link.add_out(&ch->forward->out());
    w.tasks().add(ch->forward.get());
  });
  for (auto& [what, wish] : wishes_) {
    peer::SubAdd m;
    m.mode = what.first;
    m.key = wish.key;
    m.overflow = shared_overflow(what.first, what.second);
    m.path = shared_path(what.first, what.second);
    peer::set_text(m.filter, what.second);
    send(p, m);
  }
  send(p, peer::SubAll{});
}

// The session is over: what was in flight is lost and counted, what is not yet sent is dropped for
// this peer. It asks again when it comes back.
void Node::path_down(PeerRecord& p, uint32_t index, LinkEvent::Why why) {
  PathRecord& path = p.paths[index];
  if (!path.up) return;
  path.up = false;
  // With the control channel goes every way to say what has landed.
  for (PathRecord& other : p.paths)
    if (index == 0 || &other == &path)
      for (auto& r : other.rdma)
        rdma_down(*r);
  raise(EventName::kLinkDown, path_name(p, index),
        fmt::format("node {} ({}) is down on path {}: {}", p.id, p.name, index, why_text(why)));
  if (index == 0) {
    for (const auto& [key, interest] : p.interests)
      if (interest.mode == Mode::kBroadcast && p.absent.size() < kMostInterests)
        p.absent.insert(interest.filter);
    p.interests.clear();
    p.denied.clear();
    p.backlog.clear();
    std::shared_ptr<ControlChannel> gone = std::move(p.channel);
    p.channel.reset();
    if (gone != nullptr) {
      errands(path.worker)
          .send(
              [gone, l = path.path.get(), session = path.session](Worker& w, uint64_t) {
                w.tasks().remove(gone->forward.get());
                if (!l->link.in_session(session)) return;
                (void)l->link.remove_out(kControlAlias);
                (void)l->link.remove_in(kControlAlias);
              },
              [this, gone] {
                if (gone->forward->bells != nullptr) own_bell_slots_.give_back(gone->bell_slot);
              });
    }
    for (auto& [cid, c] : clients_) {
      for (auto& [sid, s] : c->subscriptions) {
        if (!s->waiting || s->waiting->peers.erase(p.id) == 0) continue;
        if (s->waiting->peers.empty()) finish_subscribe(*s);
      }
    }
  }
  std::vector<std::pair<uint64_t, ForwardRecord*>> forwards;
  std::vector<uint64_t> mirrors;
  for (auto& [id, lane] : lanes_) {
    if (lane->peer == &p && (lane->path == index || index == 0)) mirrors.push_back(id);
    for (auto& f : lane->forwards)
      if (f->peer == &p && (f->path_index == index || index == 0))
        forwards.emplace_back(id, f.get());
  }
  for (const auto& [id, f] : forwards)
    if (!f->ending) end_forward(*f, Drop::kPeerDown, index != 0);
  for (const uint64_t id : mirrors)
    if (const auto it = lanes_.find(id); it != lanes_.end())
      close_mirror(*it->second, CloseReason::kPeerDown);
  if (index != 0) return;
  std::vector<GroupRecord*> groups;
  for (auto& [filter, g] : groups_)
    groups.push_back(g.get());
  for (GroupRecord* g : groups)
    end_group_if_unused(*g);
}

void Node::send_bytes(PeerRecord& p, std::span<const std::byte> message) {
  if (!p.up()) return;
  if (p.backlog.empty() && p.channel->writer.send({}, message) == Errc::kOk) return;
  if (p.backlog.size() >= kMostBacklog)
    return cut(p, fmt::format("it leaves {} control messages unread", p.backlog.size()));
  p.backlog.emplace_back(message.begin(), message.end());
}

// It costs more than a peer may. Its links stay closed until this node starts anew: it would only
// come back and go on.
void Node::cut(PeerRecord& p, const std::string& why) {
  if (std::exchange(p.cut, true)) return;
  raise(EventName::kPeerCut, fmt::format("node {}", p.id),
        fmt::format("node {} ({}) is cut off until this node is restarted: {}", p.id, p.name, why));
  for (PathRecord& path : p.paths)
    errands(path.worker).send([l = path.path.get()](Worker&, uint64_t now) {
      l->link.close(LinkClose::kMisbehaved, now);
    });
}

uint32_t Node::poll_peer(PeerRecord& p) {
  uint32_t work = 0;
  while (p.up() && !p.backlog.empty() &&
         p.channel->writer.send({}, p.backlog.front()) == Errc::kOk) {
    p.backlog.pop_front();
    work++;
  }
  for (uint32_t i = 0; i < kMessagesEach && p.up() && p.backlog.size() < kPauseBacklog; i++) {
    Message m;
    const auto channel = p.channel;  // what it says may end the session
    const LaneReader::Next next = channel->reader.next(m);
    if (next == LaneReader::Next::kEmpty) break;
    if (next == LaneReader::Next::kMessage) take(p, {m.data, static_cast<size_t>(m.len)});
    channel->reader.release();
    work++;
  }
  return work;
}

void Node::take(PeerRecord& p, std::span<const std::byte> bytes) {
  using peer::Type;
  const auto with = [&](auto message, auto handler) {
    if (!peer::parse(bytes, message)) return false;
    (this->*handler)(p, message);
    return true;
  };
  bool good = false;
  switch (peer::type_of(bytes)) {
    case Type::kSubAdd:
      good = with(peer::SubAdd{}, &Node::on_sub_add);
      break;
    case Type::kSubDel:
      good = with(peer::SubDel{}, &Node::on_sub_del);
      break;
    case Type::kSubAck:
      good = with(peer::SubAck{}, &Node::on_sub_ack);
      break;
    case Type::kSubRefused:
      good = with(peer::SubRefused{}, &Node::on_sub_refused);
      break;
    case Type::kSubAll:
      good = with(peer::SubAll{}, &Node::on_sub_all);
      break;
    case Type::kLaneTopic:
      good = with(peer::LaneTopic{}, &Node::on_lane_topic);
      break;
    case Type::kLaneReady:
      good = with(peer::LaneReady{}, &Node::on_lane_ready);
      break;
    case Type::kLaneRefused:
      good = with(peer::LaneRefused{}, &Node::on_lane_refused);
      break;
    case Type::kLaneClose:
      good = with(peer::LaneClose{}, &Node::on_lane_close);
      break;
    case Type::kLaneHeld:
      good = with(peer::LaneHeld{}, &Node::on_lane_held);
      break;
    case Type::kRdmaCall:
      good = with(peer::RdmaCall{}, &Node::on_rdma_call);
      break;
    case Type::kRdmaAnswer:
      good = with(peer::RdmaAnswer{}, &Node::on_rdma_answer);
      break;
    case Type::kRdmaRefused:
      good = with(peer::RdmaRefused{}, &Node::on_rdma_refused);
      break;
    case Type::kRdmaMirror:
      good = with(peer::RdmaMirror{}, &Node::on_rdma_mirror);
      break;
    case Type::kRdmaLanded:
      good = with(peer::RdmaLanded{}, &Node::on_rdma_landed);
      break;
    case Type::kRdmaEnd:
      good = with(peer::RdmaEnd{}, &Node::on_rdma_end);
      break;
    case Type::kLaneClosed:
      good =
          bytes.size() == sizeof(peer::LaneClosed);  // the alias is not used again: no more to do
      break;
  }
  if (!good)
    note(EventName::kPeerNonsense,
         fmt::format("node {} ({}) sent a control message of type {} that makes no sense: ignored",
                     p.id, p.name, static_cast<uint32_t>(peer::type_of(bytes))));
}

}  // namespace penstock
