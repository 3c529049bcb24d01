#include "control/node/node.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "dataplane/base/event.h"

namespace penstock {
namespace {

void watch(int epoll, int fd) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

void clear_event(int fd) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = read(fd, &count, sizeof count);
}

}  // namespace

std::unique_ptr<Node> Node::create(const NodeConfig& config, Log log, std::string& error) {
  std::unique_ptr<Node> node(new Node(config, std::move(log)));
  if (!node->open(error)) return nullptr;
  return node;
}

bool Node::open(std::string& error) {
  enable_remote_fence();
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  auto event = make_event();
  auto page = SealedMemory::create("penstock-workers", sizeof(attach::WorkerPage));
  if (!epoll_ || !event.ok() || !page.ok()) {
    error = "the kernel gives no descriptors or memory: raise RLIMIT_NOFILE or free some memory";
    return false;
  }
  control_event_ = Fd(*event);
  watch(epoll_.get(), control_event_.get());
  worker_page_ = std::move(*page);
  auto map = worker_page_.map(Access::kReadWrite);
  if (!map.ok() || worker_page_.seal_writes() != Errc::kOk) {
    error = "cannot map or seal memory for the workers' page";
    return false;
  }
  worker_page_map_ = std::move(*map);
  auto reader = worker_page_.read_only_fd();
  if (!reader.ok()) {
    error = "cannot reopen memory read-only: is /proc mounted?";
    return false;
  }
  worker_page_reader_ = std::move(*reader);

  auto* words = reinterpret_cast<attach::WorkerPage*>(worker_page_map_.data());
  for (uint32_t i = 0; i < config_.workers.size(); i++) {
    workers_.push_back(std::make_unique<WorkerRecord>(
        Worker::Config{.index = i, .idle = config_.workers[i], .armed = &words->worker[i].armed}));
    watch(epoll_.get(), workers_[i]->worker.done_event());
    if (worker_table(i) == nullptr) {
      error = "no memory for a worker's position table";
      return false;
    }
    workers_[i]->worker.tasks().add_bells(&own_bells_);
  }
  return true;
}

// Devices stop before the memory goes that they know.
Node::~Node() {
  each_rdma([](RdmaRecord& r) { r.free(); });
  for (auto& [id, lane] : lanes_) {
    for (auto& f : lane->forwards)
      release_puts(*f);
    unregister(*lane);
  }
}

void Node::add_port(PortRow row) {
  workers_[row.worker]->worker.add_port(row.net);
  ports_.push_back(std::move(row));
}

void Node::add_client(std::unique_ptr<Session> session, uint64_t now) {
  if (clients_.size() >= config_.max_clients) {
    session->refuse(0, static_cast<uint32_t>(Errc::kFull),
                    fmt::format("{} clients are attached, no more are allowed", clients_.size()));
    return;
  }
  watch(epoll_.get(), session->fd());
  if (session->pidfd() >= 0) watch(epoll_.get(), session->pidfd());
  auto c = std::make_unique<ClientRecord>();
  c->id = next_client_++;
  c->session = std::move(session);
  c->since = now;
  clients_[c->id] = std::move(c);
}

uint32_t Node::poll(uint64_t now) {
  now_ = now;
  if (started_ == 0) started_ = now;
  uint32_t work = poll_workers(now);
  work += poll_clients(now);
  for (auto& [id, p] : peers_)
    work += poll_peer(*p);
  if (now >= next_tick_) {
    next_tick_ = now + kTickNs;
    tick(now);
  }
  return work;
}

uint32_t Node::poll_workers(uint64_t now) {
  uint32_t work = 0;
  for (auto& w : workers_) {
    clear_event(w->worker.done_event());
    work += w->errands.poll();
  }
  for (auto& f : fabrics_)
    for (RdmaPath* path = nullptr; f->port.next_stopped(path); work++)
      each_rdma([&](RdmaRecord& r) {
        if (&r.path == path) rdma_stopped(r);
      });
  for (const PortRow& row : ports_) {
    LinkNotice notice;
    while (row.net->next_notice(notice)) {
      on_notice(notice, now);
      work++;
    }
  }
  return work;
}

// A client whose process died may have left children with its socket open: the process counts.
uint32_t Node::poll_clients(uint64_t /*now*/) {
  constexpr int kPacketsEach = 64;  // a client that floods waits for the others
  uint32_t work = 0;
  for (auto it = clients_.begin(); it != clients_.end();) {
    ClientRecord& c = *(it++)->second;
    bool keep = c.session->flush();
    Packet packet;
    for (int i = 0; keep && i < kPacketsEach; i++) {
      const Session::Receive got = c.session->receive(packet);
      if (got == Session::Receive::kEmpty) break;
      work++;
      keep = got == Session::Receive::kPacket && take(c, packet);
      if (got == Session::Receive::kBad)
        note(EventName::kClientDetached,
             fmt::format("client {} ({}) sent a packet that is no packet; detached", c.id, c.name));
    }
    if (!keep || c.turned_out || c.session->dead()) {
      client_gone(c);
      work++;
    }
  }
  return work;
}

void Node::tick(uint64_t now) {
  for (auto& [id, c] : clients_) {
    for (auto& [sid, s] : c->subscriptions)
      if (s->waiting && now >= s->waiting->deadline) finish_subscribe(*s);
  }
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    LaneRecord& lane = *(it++)->second;
    check_readers(lane);
    end_revoked(lane);
    ask_again(lane);
    lane_progress(lane);
    if (lane.unused) free_lane(lane.id);
  }
  look_at_rdma();
  look_at_leaving_rdma();
  look_at_waiting();
  see_off(now);
  look_at_drain(now);
}

bool Node::before_sleep() {
  bool quiet = true;
  for (auto& [id, p] : peers_)
    if (p->channel) p->channel->reader.arm();
  remote_fence();
  for (auto& [id, p] : peers_)
    if (p->channel && p->channel->reader.ready()) quiet = false;
  if (!quiet) after_sleep();
  return quiet;
}

void Node::after_sleep() {
  clear_event(control_event_.get());
  for (auto& [id, p] : peers_)
    if (p->channel) p->channel->reader.disarm();
}

void Node::stop(uint64_t /*now*/) {
  for (auto& [id, lane] : lanes_)
    if (!lane->closed) close_lane(*lane, CloseReason::kNodeStopped);
  for (auto& [id, p] : peers_) {
    for (PathRecord& path : p->paths) {
      LinkPath* l = path.path.get();
      errands(path.worker).send([l](Worker&, uint64_t now) {
        l->link.close(LinkClose::kStopped, now);
      });
    }
  }
}

bool Node::idle() const {
  for (const auto& w : workers_)
    if (!w->errands.idle()) return false;
  // Frames that a port still has refer to these.
  return std::none_of(lanes_.begin(), lanes_.end(), [](const auto& l) { return l.second->unused; });
}

// A worker reads many lanes; a table has room for 512, so there may be several.
PositionTableRecord* Node::worker_table(uint32_t worker) {
  auto& tables = workers_[worker]->tables;
  for (auto& t : tables)
    if (t->slots.taken() < kPositionSlots) return t.get();
  auto t = std::make_unique<PositionTableRecord>();
  t->id = (uint64_t{1} << 40) + (uint64_t{worker} << 20) + tables.size();
  auto memory = SealedMemory::create("penstock-positions", sizeof(PositionTable));
  if (!memory.ok()) return nullptr;
  t->memory = std::move(*memory);
  auto map = t->memory.map(Access::kReadWrite);
  if (!map.ok() || t->memory.seal_writes() != Errc::kOk) return nullptr;
  t->map = std::move(*map);
  tables.push_back(std::move(t));
  return tables.back().get();
}

Wake Node::worker_wake(uint32_t worker, BellPage* bells, uint32_t slot) {
  auto* words = reinterpret_cast<attach::WorkerPage*>(worker_page_map_.data());
  return {.event_fd = workers_[worker]->worker.wake_event(),
          .bell = &bells->worker[worker].bits[slot / 64],
          .bell_bit = uint64_t{1} << (slot % 64),
          .sleeper = &words->worker[worker].armed};
}

}  // namespace penstock
