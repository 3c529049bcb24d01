#include "tests/dataplane/client/mini_node.h"

#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "dataplane/base/event.h"
#include "dataplane/topic/filter.h"

namespace penstock::test {

MiniNode::Memory::Memory(uint64_t bytes) {
  auto made = SealedMemory::create("mini-node", bytes);
  if (!made.ok()) std::abort();
  memory = std::move(*made);
  auto mapped = memory.map(Access::kReadWrite);
  if (!mapped.ok()) std::abort();
  map = std::move(*mapped);
}

MiniNode::MiniNode() : worker_page_(sizeof(attach::WorkerPage)), positions_(sizeof(PositionTable)) {
  char dir[] = "/tmp/mini-node-XXXXXX";
  if (mkdtemp(dir) == nullptr) std::abort();
  dir_ = dir;
  path_ = dir_ + "/socket";
  Listener::Options options;
  options.path = path_;
  auto listener = Listener::open(options);
  if (!listener) std::abort();
  listener_ = std::make_unique<Listener>(std::move(*listener));
  worker_page_.memory.seal_writes();
  positions_.memory.seal_writes();
  auto event = make_event();
  if (!event.ok()) std::abort();
  worker_event_ = Fd(*event);
  enable_remote_fence();
  thread_ = std::thread([this] { run(); });
}

MiniNode::~MiniNode() {
  die();
  rmdir(dir_.c_str());
}

void MiniNode::die() {
  if (!thread_.joinable()) return;
  call([this] { stop_ = true; });
  thread_.join();
  clients_.clear();
  listener_.reset();
}

void MiniNode::call(const std::function<void()>& what) {
  std::unique_lock lock(mutex_);
  order_ = what;
  ring_event(worker_event_.get());
  done_.wait(lock, [this] { return order_ == nullptr; });
}

void MiniNode::run() {
  while (!stop_) {
    while (turn()) {
    }
    sleep();
    const std::lock_guard lock(mutex_);
    if (order_ == nullptr) continue;
    order_();
    order_ = nullptr;
    done_.notify_all();
  }
}

// Everything that can be done now. True: look again at once.
bool MiniNode::turn() {
  while (auto session = listener_->accept()) {
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->session = std::move(session);
  }
  for (size_t i = 0; i < clients_.size(); i++)
    serve(*clients_[i]);
  bury();
  return dispatch() != 0;
}

// As a worker sleeps: armed word, fence, another look, then the event.
void MiniNode::sleep() {
  auto* page = reinterpret_cast<attach::WorkerPage*>(worker_page_.map.data());
  SharedWord& armed = page->worker[0].armed;
  armed.store(armed.load() | 1);
  bool waiting = false;
  for (auto& [id, lane] : lanes_) {
    if (lane->source == nullptr) continue;
    lane->source->arm();
    waiting |= lane->held;
  }
  remote_fence();
  if (dispatch() == 0) {
    std::vector<pollfd> fds{{worker_event_.get(), POLLIN, 0}, {listener_->fd(), POLLIN, 0}};
    for (auto& c : clients_)
      fds.push_back({c->session->fd(), POLLIN, 0});
    ::poll(fds.data(), fds.size(), waiting ? 1 : 1000);
    uint64_t n = 0;
    if ((fds[0].revents & POLLIN) != 0 && read(worker_event_.get(), &n, sizeof n) < 0) std::abort();
  }
  armed.store(armed.load() + 1);
  for (auto& [id, lane] : lanes_)
    if (lane->source != nullptr) lane->source->disarm();
}

void MiniNode::serve(Client& c) {
  Packet p;
  for (;;) {
    switch (c.session->receive(p)) {
      case Session::Receive::kPacket:
        if (const auto it = instead_.find(p.header().type); it != instead_.end()) {
          it->second(*c.session, p);
        } else if (!handle(c, p)) {
          c.session->refuse(p.header().request, static_cast<uint32_t>(Errc::kInvalid),
                            "the question makes no sense");
        }
        break;
      case Session::Receive::kEmpty:
        return;
      default:
        c.gone = true;
        return;
    }
  }
}

bool MiniNode::handle(Client& c, const Packet& p) {
  attach::Ok ok;
  ok.header.request = p.header().request;
  switch (p.header().type) {
    case attach::Type::kHello:
      return hello(c, p), true;
    case attach::Type::kMapped: {
      const uint64_t id = p.as<attach::Mapped>()->lane_id;
      if (id == 0) return c.positions.memory.seal_writes() == Errc::kOk;
      return lanes_.at(id)->memory.memory.seal_writes() == Errc::kOk;
    }
    case attach::Type::kDeclare:
      return declare(c, p), true;
    case attach::Type::kAddTopic:
      return add_topic(c, p), true;
    case attach::Type::kSubscribe:
      return subscribe(c, p), true;
    case attach::Type::kUnsubscribe: {
      const uint64_t id = p.as<attach::Unsubscribe>()->subscription;
      for (auto& s : subscriptions_)
        if (s->id == id) return unsubscribe(*s), c.session->send(ok);
      return false;
    }
    case attach::Type::kCloseLane:
      // One that was lost may be gone already.
      if (const auto it = lanes_.find(p.as<attach::CloseLane>()->lane_id); it != lanes_.end())
        close_lane(*it->second, CloseReason::kPublisherLeft);
      return c.session->send(ok);
    case attach::Type::kReleased:
      return released(*p.as<attach::Released>()), true;
    case attach::Type::kQuery:
      return query(c, p), true;
    default:
      return false;
  }
}

void MiniNode::hello(Client& c, const Packet& p) {
  c.positions = Memory(sizeof(PositionTable));
  c.bells = Memory(sizeof(BellPage));
  c.table = next_id_++;
  attach::Welcome w;
  w.header.request = p.header().request;
  w.node_id = kNodeId;
  w.workers = 1;
  const auto page = worker_page_.memory.read_only_fd();
  c.session->send(w,
                  {c.positions.memory.fd(), c.bells.memory.fd(), page->get(), worker_event_.get()});
}

MiniNode::Lane& MiniNode::make_lane(const LaneGeometry& geometry) {
  auto lane = std::make_unique<Lane>();
  lane->id = next_id_++;
  lane->geometry = geometry.ring_log2 != 0 ? geometry : LaneGeometry{8, 16, 32};
  lane->memory = Memory(lane->geometry.total_bytes());
  lane->page = Memory(sizeof(NodePage));
  lane->page.memory.seal_writes();
  LaneWriter::format(lane->memory.map.data(), lane->geometry, lane->id, 1);
  lane->desk = LaneDesk(reinterpret_cast<NodePage*>(lane->page.map.data()),
                        reinterpret_cast<const LaneHeader*>(lane->memory.map.data()), lane->id);
  Lane& made = *lane;
  lanes_[made.id] = std::move(lane);
  return made;
}

void MiniNode::declare(Client& c, const Packet& p) {
  const auto& ask = *p.as<attach::Declare>();
  Lane& lane = make_lane(ask.geometry);
  lane.client = &c;
  lane.kind = ask.kind;
  lane.name = ask.name;
  attach::Declared d;
  d.header.request = p.header().request;
  d.lane_id = lane.id;
  d.epoch = 1;
  d.geometry = lane.geometry;
  d.bell_slot = static_cast<uint32_t>(lane.id % 512);
  const auto page = lane.page.memory.read_only_fd();
  c.session->send(d, {lane.memory.memory.fd(), page->get()});
}

void MiniNode::add_topic(Client& c, const Packet& p) {
  const auto& ask = *p.as<attach::AddTopic>();
  if (std::strcmp(ask.name, "forbidden") == 0) {
    c.session->refuse(ask.header.request, static_cast<uint32_t>(Errc::kDenied), "not for you");
    return;
  }
  Lane& lane = *lanes_.at(ask.lane_id);
  if (ask.topic >= lane.topics.size()) lane.topics.resize(ask.topic + 1);
  lane.topics[ask.topic] = ask.name;
  for (auto& s : subscriptions_)
    if (wants(*s, lane)) join(*s, lane);
  attach::Ok ok;
  ok.header.request = ask.header.request;
  c.session->send(ok);
}

// A broadcast subscription reads publishers' lanes; a group's members read their inboxes only.
bool MiniNode::wants(const Subscription& s, const Lane& lane) const {
  if (lane.client == nullptr) return false;
  const bool group = s.mode == attach::Mode::kGroup;
  if (group != (lane.kind == attach::Kind::kPusher)) return false;
  for (const auto& t : lane.topics)
    if (!t.empty() && matches(s.filter, t)) return true;
  return false;
}

void MiniNode::join(Subscription& s, Lane& lane) {
  if (s.mode == attach::Mode::kGroup && !lane.inbox) return join_node(lane);
  for (const auto& [index, r] : lane.readers)
    if (r.by == &s) return;
  const auto joined = lane.desk.join(s.lossy);
  if (!joined.ok()) return;
  uint32_t slot = 0;
  while (s.client->slots[slot])
    slot++;
  s.client->slots[slot] = true;
  lane.readers[joined->index] = {&s, slot, joined->generation};

  attach::Join j;
  j.subscription = s.id;
  j.lane_id = lane.id;
  j.start = joined->start;
  j.geometry = lane.geometry;
  j.index = joined->index;
  j.generation = joined->generation;
  j.slot = slot;
  j.lossy = s.lossy ? 1 : 0;
  j.inbox = lane.inbox ? 1 : 0;
  j.origin_node = kNodeId;
  std::strncpy(j.publisher, lane.name.c_str(), sizeof j.publisher - 1);
  const auto memory = lane.memory.memory.read_only_fd();
  const auto page = lane.page.memory.read_only_fd();
  s.client->session->send(j, {memory->get(), page->get()});

  if (lane.inbox) {
    Wake wake;
    wake.event_fd = s.event.get();
    auto* table = reinterpret_cast<PositionTable*>(s.client->positions.map.data());
    lane.writer.attach_reader(joined->index, joined->generation, &table->slots[slot], wake);
    return;
  }
  if (readers_withheld_) return;
  attach::Reader r;
  r.lane_id = lane.id;
  r.index = joined->index;
  r.generation = joined->generation;
  r.table = s.client->table;
  r.slot = slot;
  const auto table = s.client->positions.memory.read_only_fd();
  lane.client->session->send(r, {table->get(), s.event.get()});
}

// The node itself reads a pusher's lane, as worker 0.
void MiniNode::join_node(Lane& lane) {
  if (lane.source != nullptr) return;
  const auto joined = lane.desk.join(false);
  lane.readers[joined->index] = {nullptr, next_slot_, joined->generation};
  LaneReader::Join j;
  j.memory = lane.memory.map.data();
  j.geometry = lane.geometry;
  j.page = reinterpret_cast<const NodePage*>(lane.page.map.data());
  j.index = joined->index;
  j.generation = joined->generation;
  j.slot = &reinterpret_cast<PositionTable*>(positions_.map.data())->slots[next_slot_];
  j.start = joined->start;
  lane.source = std::make_unique<LaneReader>(j);
  attach::Reader r;
  r.lane_id = lane.id;
  r.index = joined->index;
  r.generation = joined->generation;
  r.table = UINT64_MAX;
  r.slot = next_slot_++;
  r.worker = 0;
  const auto table = positions_.memory.read_only_fd();
  lane.client->session->send(r, {table->get(), worker_event_.get()});
}

void MiniNode::subscribe(Client& c, const Packet& p) {
  const auto& ask = *p.as<attach::Subscribe>();
  if (ask.path == attach::PathPolicy::kRequireZeroCopy) {
    c.session->refuse(ask.header.request, static_cast<uint32_t>(Errc::kNoDevice),
                      "no RDMA device: see rdma.device");
    return;
  }
  auto s = std::make_unique<Subscription>();
  s->id = next_id_++;
  s->client = &c;
  s->mode = ask.mode;
  s->lossy = !ask.overflow.holds_back();
  s->filter = ask.filter;
  s->event = Fd(*make_event());
  s->epoll = Fd(epoll_create1(EPOLL_CLOEXEC));
  epoll_event edge{};
  edge.events = EPOLLIN | EPOLLET;
  epoll_ctl(s->epoll.get(), EPOLL_CTL_ADD, s->event.get(), &edge);
  if (s->mode == attach::Mode::kGroup) {
    Lane& inbox = make_lane(ask.inbox);
    inbox.name = "group";
    inbox.inbox = true;
    inbox.writer = LaneWriter(inbox.memory.map.data(), inbox.geometry,
                              reinterpret_cast<const NodePage*>(inbox.page.map.data()));
    inbox.memory.memory.seal_writes();
    s->inbox = inbox.id;
    join(*s, inbox);
  }
  for (auto& [id, lane] : lanes_)
    if (wants(*s, *lane)) join(*s, *lane);
  attach::Subscribed done;
  done.header.request = ask.header.request;
  done.subscription = s->id;
  c.session->send(done, {s->epoll.get()});
  subscriptions_.push_back(std::move(s));
}

}  // namespace penstock::test
