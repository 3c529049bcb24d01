// What clients ask for. Everything in a packet was written by somebody else.
#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/node/node.h"
#include "dataplane/base/event.h"
#include "dataplane/topic/filter.h"
#include "dataplane/topic/name.h"
#include "dataplane/topic/tenant.h"

namespace penstock {
namespace {

constexpr uint64_t kSubscribePatienceNs = 5'000'000'000;

// A fixed field as text: terminated, and nothing in it that a terminal would take for a command.
template <size_t N>
std::optional<std::string> text_of(const char (&field)[N]) {
  const void* end = std::memchr(field, 0, N);
  if (end == nullptr) return std::nullopt;
  std::string s(field, static_cast<size_t>(static_cast<const char*>(end) - field));
  for (const char ch : s)
    if (static_cast<unsigned char>(ch) < 0x20 || ch == 0x7f) return std::nullopt;
  return s;
}

bool is_zero(const LaneGeometry& g) {
  return g.ring_log2 == 0 && g.arena_log2 == 0 && g.topics == 0;
}

bool refuse(ClientRecord& c, const attach::Header& h, Errc why, const std::string& text) {
  return c.session->refuse(h.request, static_cast<uint32_t>(why), text);
}

// Why a lane or an inbox is not made so large; empty: it may be.
std::string too_large(const LaneGeometry& g, uint64_t most) {
  const uint64_t tables = g.total_bytes() - g.arena_size();
  if (g.arena_size() <= most && tables <= most) return {};
  return fmt::format(
      "an arena of {} bytes, {} bytes for ring and topics; lane.max_arena allows {} "
      "each",
      g.arena_size(), tables, most);
}

template <class T>
T answer(const attach::Header& to) {
  T t;
  t.header.request = to.request;
  return t;
}

}  // namespace

// False: the client broke the protocol and is detached.
bool Node::take(ClientRecord& c, const Packet& packet) {
  using attach::Type;
  const Type type = packet.header().type;
  const auto with = [&](auto handler, const auto* m) {
    return m != nullptr && (this->*handler)(c, *m);
  };
  if (draining() && refuse_new(c, packet.header())) return true;
  bool good = false;
  if (c.state == ClientRecord::State::kConnected) {
    good = type == Type::kTenant
               ? with(&Node::on_tenant, packet.as<attach::Tenant>())
               : type == Type::kHello && with(&Node::on_hello, packet.as<attach::Hello>());
  } else if (c.state == ClientRecord::State::kWelcomed) {
    good = type == Type::kMapped && with(&Node::on_mapped, packet.as<attach::Mapped>());
  } else {
    switch (type) {
      case Type::kMapped:
        good = with(&Node::on_mapped, packet.as<attach::Mapped>());
        break;
      case Type::kDeclare:
        good = with(&Node::on_declare, packet.as<attach::Declare>());
        break;
      case Type::kAddTopic:
        good = with(&Node::on_add_topic, packet.as<attach::AddTopic>());
        break;
      case Type::kSubscribe:
        good = with(&Node::on_subscribe, packet.as<attach::Subscribe>());
        break;
      case Type::kUnsubscribe:
        good = with(&Node::on_unsubscribe, packet.as<attach::Unsubscribe>());
        break;
      case Type::kCloseLane:
        good = with(&Node::on_close_lane, packet.as<attach::CloseLane>());
        break;
      case Type::kReleased:
        good = with(&Node::on_released, packet.as<attach::Released>());
        break;
      case Type::kQuery:
        good = with(&Node::on_query, packet.as<attach::Query>());
        break;
      default:
        break;
    }
  }
  if (!good && !c.session->cut())
    note(EventName::kClientDetached,
         fmt::format("client {} ({}, pid {}) broke the attach protocol with a packet of type {}; "
                     "detached",
                     c.id, c.name, c.session->who().pid, static_cast<uint32_t>(type)));
  return good;
}

bool Node::on_tenant(ClientRecord& c, const attach::Tenant& m) {
  const auto name = text_of(m.name);
  if (!name || !valid_tenant(*name)) return false;
  c.tenant = *name;
  return true;
}

bool Node::on_hello(ClientRecord& c, const attach::Hello& m) {
  const auto name = text_of(m.name);
  if (!name) return false;
  c.name = name->empty() ? fmt::format("client{}", c.id) : *name;
  if (m.version != attach::kProtocolVersion) {
    refuse(c, m.header, Errc::kVersion,
           fmt::format("the client library speaks attach protocol {}, this node {}: install the "
                       "same version of both",
                       m.version, attach::kProtocolVersion));
    return false;
  }
  if (!admit(c, m.header)) return true;
  auto positions = SealedMemory::create("penstock-positions", sizeof(PositionTable));
  auto bells = SealedMemory::create("penstock-bells", sizeof(BellPage));
  if (!positions.ok() || !bells.ok())
    return refuse(c, m.header, Errc::kNoMemory, "no memory for another client");
  c.positions.id = c.id;
  c.positions.memory = std::move(*positions);
  c.bell_memory = std::move(*bells);
  auto map = c.positions.memory.map(Access::kRead);
  auto bell_map = c.bell_memory.map(Access::kReadWrite);
  if (!map.ok() || !bell_map.ok())
    return refuse(c, m.header, Errc::kNoMemory, "no memory for another client");
  c.positions.map = std::move(*map);
  c.bell_map = std::move(*bell_map);

  std::vector<int> fds{c.positions.memory.fd(), c.bell_memory.fd(), worker_page_reader_.get()};
  std::vector<Fd> events;
  for (uint32_t w = 0; w < workers_.size(); w++) {
    auto event = make_event();
    if (!event.ok())
      return refuse(c, m.header, Errc::kSystem,
                    "out of descriptors: raise RLIMIT_NOFILE of the node");
    events.emplace_back(*event);
    fds.push_back(*event);
  }
  // From here on workers hear its bells, and nothing fails that could let it say Hello again.
  c.worker_events = std::move(events);
  for (uint32_t w = 0; w < workers_.size(); w++) {
    errands(w).send([fd = c.worker_events[w].get(), page = c.bells()](Worker& worker, uint64_t) {
      worker.tasks().add_bells(page);
      (void)worker.add_wake_event(fd);
    });
  }
  auto welcome = answer<attach::Welcome>(m.header);
  welcome.client_id = c.id;
  welcome.node_id = config_.id;
  welcome.node_epoch = config_.epoch;
  welcome.workers = worker_count();
  c.state = ClientRecord::State::kWelcomed;
  return c.session->send(std::as_bytes(std::span(&welcome, 1)), fds);
}

bool Node::on_mapped(ClientRecord& c, const attach::Mapped& m) {
  if (m.lane_id == 0) {
    if (c.state != ClientRecord::State::kWelcomed) return false;
    (void)c.positions.memory.seal_writes();
    (void)c.bell_memory.seal_writes();
    c.state = ClientRecord::State::kAttached;
    return true;
  }
  const auto it = c.lanes.find(m.lane_id);
  if (it == c.lanes.end() || it->second->sealed) return draining();  // it was closed meanwhile
  it->second->sealed = it->second->memory.seal_writes() == Errc::kOk;
  return it->second->sealed;
}

bool Node::on_declare(ClientRecord& c, const attach::Declare& m) {
  const auto name = text_of(m.name);
  if (!name || m.kind > attach::Kind::kPusher) return false;
  if (c.lanes.size() >= config_.max_lanes)
    return refuse(c, m.header, Errc::kFull,
                  fmt::format("a client may have {} publishers and pushers", config_.max_lanes));
  const LaneGeometry g = is_zero(m.geometry) ? config_.lane : m.geometry;
  if (!g.valid())
    return refuse(c, m.header, Errc::kInvalid,
                  "ring, arena or topics out of range: see penstock_sender_options");
  if (const auto why = too_large(g, config_.max_arena_bytes); !why.empty())
    return refuse(c, m.header, Errc::kTooBig, why);
  if (const auto why = over_limit(c, Limit::kLanes, 1); !why.empty())
    return refuse(c, m.header, Errc::kFull, why);
  if (const auto why = over_limit(c, Limit::kBytes, g.total_bytes()); !why.empty())
    return refuse(c, m.header, Errc::kFull, why);
  const auto bell = c.bell_slots.take();
  if (!bell) return refuse(c, m.header, Errc::kFull, "no bell is free");
  auto made = make_lane(LaneKind::kLane, g, "penstock-lane");
  if (!made.ok()) {
    c.bell_slots.give_back(*bell);
    return refuse(c, m.header, made.error(),
                  fmt::format("no memory for a lane of {} bytes", g.total_bytes()));
  }
  LaneRecord& lane = **made;
  lane.name = name->empty() ? c.name : *name;
  lane.rule = c.rule;
  lane.pusher = m.kind == attach::Kind::kPusher;
  lane.publisher = &c;
  lane.bells = c.bells();
  lane.bell_slot = *bell;
  c.lanes[lane.id] = &lane;
  auto page = lane.page_memory.read_only_fd();
  if (!page.ok()) return refuse(c, m.header, Errc::kSystem, "out of descriptors");
  auto declared = answer<attach::Declared>(m.header);
  declared.lane_id = lane.id;
  declared.epoch = lane.epoch;
  declared.geometry = g;
  declared.bell_slot = *bell;
  return c.session->send(declared, {lane.memory.fd(), (*page).get()});
}

bool Node::on_add_topic(ClientRecord& c, const attach::AddTopic& m) {
  const auto it = c.lanes.find(m.lane_id);
  const auto said = text_of(m.name);
  if (it == c.lanes.end() && c.revoked.contains(m.lane_id))
    return refuse(c, m.header, Errc::kClosed, "the node has ended this lane");
  if (it == c.lanes.end() || !it->second->sealed || !said) return false;
  LaneRecord& lane = *it->second;
  if (m.topic >= lane.geometry.topics) return false;
  if (!valid_topic(*said))
    return refuse(c, m.header, Errc::kBadTopic, fmt::format("'{}' is no topic", *said));
  const auto name = allowed_name(c, m.header, Right::kPublish, *said);
  if (!name) return true;
  if (lane.topics.size() <= m.topic) lane.topics.resize(m.topic + 1);
  if (!lane.topics[m.topic].empty() && lane.topics[m.topic] != *name) return false;
  if (const auto why = no_room_for_topic(lane, *name); !why.empty())
    return refuse(c, m.header, Errc::kFull, why);
  lane.topics[m.topic] = *name;
  topic_added(lane, m.topic);
  return c.session->send(answer<attach::Ok>(m.header));
}

bool Node::on_subscribe(ClientRecord& c, const attach::Subscribe& m) {
  const auto said = text_of(m.filter);
  if (!said || m.mode > Mode::kGroup) return false;
  if (!valid_filter(*said))
    return refuse(c, m.header, Errc::kBadTopic, fmt::format("'{}' is no filter", *said));
  if (const auto why = over_limit(c, Limit::kSubscriptions, 1); !why.empty())
    return refuse(c, m.header, Errc::kFull, why);
  if (c.subscriptions.size() >= config_.max_subscriptions)
    return refuse(c, m.header, Errc::kFull,
                  fmt::format("a client may have {} subscriptions", config_.max_subscriptions));
  const bool group = m.mode == Mode::kGroup;
  if (!group && !m.overflow.valid())
    return refuse(c, m.header, Errc::kInvalid,
                  "overflow policy with an option it has no use for: see "
                  "penstock_subscriber_options");
  if (const auto [e, why] = bad_path(m); e != Errc::kOk) return refuse(c, m.header, e, why);
  const LaneGeometry inbox = is_zero(m.inbox) ? config_.inbox : m.inbox;
  if (group && !inbox.valid())
    return refuse(c, m.header, Errc::kInvalid,
                  "ring, arena or topics out of range: see penstock_puller_options");
  if (const auto why = too_large(inbox, config_.max_arena_bytes); group && !why.empty())
    return refuse(c, m.header, Errc::kTooBig, why);
  if (const auto why = over_limit(c, Limit::kBytes, inbox.total_bytes()); group && !why.empty())
    return refuse(c, m.header, Errc::kFull, why);
  const auto filter = allowed_name(c, m.header, Right::kSubscribe, *said);
  if (!filter) return true;
  auto s = std::make_unique<Subscription>();
  s->id = next_subscription_++;
  s->client = &c;
  s->mode = m.mode;
  s->filter = *filter;
  if (!group) s->overflow = m.overflow;
  s->path = m.path;
  if (const auto why = no_room_for(*s); !why.empty()) return refuse(c, m.header, Errc::kFull, why);
  s->news = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!s->news) return refuse(c, m.header, Errc::kSystem, "out of descriptors");
  Subscription& sub = *s;
  c.subscriptions[s->id] = std::move(s);
  sub.waiting = Waiting{m.header.request, now_ + kSubscribePatienceNs, {}};
  if (group) {
    if (const Errc e = add_member(sub, inbox); e != Errc::kOk) {
      c.subscriptions.erase(sub.id);
      return refuse(c, m.header, e,
                    fmt::format("no inbox of {} bytes could be made", inbox.total_bytes()));
    }
  } else {
    broadcasts_.insert(sub.filter, &sub);
    for (auto& [id, lane] : lanes_)
      if (wants(sub, *lane)) join_subscription(*lane, sub);
  }
  wish(sub.mode, sub.filter, sub);
  if (sub.waiting->peers.empty()) finish_subscribe(sub);
  return true;
}

// Every peer that is up has acknowledged, or it took too long and the log says so.
void Node::finish_subscribe(Subscription& s) {
  for (const uint64_t peer : s.waiting->peers)
    note(EventName::kSubscriptionLate,
         fmt::format("node {} did not acknowledge filter '{}' of client {} in time", peer, s.filter,
                     s.client->name));
  attach::Subscribed m;
  m.header.request = s.waiting->request;
  m.subscription = s.id;
  s.waiting.reset();
  s.client->session->send(m, {s.news.get()});
}

bool Node::on_unsubscribe(ClientRecord& c, const attach::Unsubscribe& m) {
  const auto it = c.subscriptions.find(m.subscription);
  if (it == c.subscriptions.end())
    return refuse(c, m.header, Errc::kNotFound, "no such subscription");
  end_subscription(*it->second, false);
  c.subscriptions.erase(it);
  return c.session->send(answer<attach::Ok>(m.header));
}

// A member of a group ends with its inbox, and may so have ended before.
void Node::end_subscription(Subscription& s, bool died) {
  if (s.mode == Mode::kGroup && s.group == nullptr) return;
  const bool wished = !std::exchange(s.over, true);
  if (wished) unwish(s.mode, s.filter);
  if (s.mode == Mode::kGroup) {
    remove_member(s, died);
    return;
  }
  if (wished) broadcasts_.remove(s.filter, &s);
  const auto lanes = s.lanes;  // part() takes them out
  for (const auto& [id, r] : lanes) {
    LaneRecord& lane = *r->lane;
    part(*r, died ? Drop::kReaderDied : Drop::kNone);
    lane_progress(lane);
  }
}

bool Node::on_close_lane(ClientRecord& c, const attach::CloseLane& m) {
  const auto it = c.lanes.find(m.lane_id);
  if (it == c.lanes.end()) return refuse(c, m.header, Errc::kNotFound, "no such publisher");
  LaneRecord& lane = *it->second;
  c.lanes.erase(it);
  close_lane(lane, CloseReason::kPublisherLeft);
  return c.session->send(answer<attach::Ok>(m.header));
}

bool Node::on_released(ClientRecord& c, const attach::Released& m) {
  for (auto& [id, s] : c.subscriptions) {
    const auto it = s->lanes.find(m.lane_id);
    if (it == s->lanes.end()) continue;
    ReaderRecord& r = *it->second;
    if (r.slot != m.slot || r.generation != m.generation) continue;
    LaneRecord& lane = *r.lane;
    if (lane.kind == LaneKind::kInbox) {
      end_subscription(*s, false);
      return true;
    }
    part(r, Drop::kNone);
    lane_progress(lane);
    return true;
  }
  return true;  // it was on its way when we parted
}

bool Node::on_query(ClientRecord& c, const attach::Query& m) {
  const auto question = text_of(m.text);
  if (!question) return false;
  if (!may_ask(c, m.header)) return true;
  const std::string json = show(*question);
  auto memory = SealedMemory::create("penstock-answer", std::max<size_t>(json.size(), 1));
  if (!memory.ok()) return refuse(c, m.header, Errc::kNoMemory, "no memory for the answer");
  auto map = (*memory).map(Access::kReadWrite);
  if (!map.ok()) return refuse(c, m.header, Errc::kNoMemory, "no memory for the answer");
  std::memcpy((*map).data(), json.data(), json.size());
  (void)(*memory).seal_writes();
  auto fd = (*memory).read_only_fd();
  if (!fd.ok()) return refuse(c, m.header, Errc::kSystem, "out of descriptors");
  auto reply = answer<attach::Answer>(m.header);
  reply.bytes = json.size();
  return c.session->send(reply, {(*fd).get()});
}

}  // namespace penstock
