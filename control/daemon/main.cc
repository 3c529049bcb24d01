// penstockd: joins config, placement, ports, workers and node, and runs them
// until told to stop.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <string>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "control/api/server.h"
#include "control/attach/listener.h"
#include "control/config/daemon_arguments.h"
#include "control/config/diff.h"
#include "control/config/docs.h"
#include "control/config/load.h"
#include "control/daemon/epoch.h"
#include "control/daemon/log.h"
#include "control/daemon/members.h"
#include "control/daemon/network.h"
#include "control/daemon/observer.h"
#include "control/daemon/rdma_devices.h"
#include "control/daemon/rdma_report.h"
#include "control/daemon/service.h"
#include "control/daemon/steering.h"
#include "control/events/events.h"
#include "control/node/node.h"
#include "dataplane/base/clock.h"
#include "drivers/dpdk/eal.h"
#include "drivers/dpdk/huge_pages.h"

namespace penstock {
namespace {

enum Exit : int {
  kFine = 0,
  kUsage = 2,
  kNoNetwork = 3,
  kNoSocket = 4,
  kNoState = 5,
  kNoMemory = 6
};

int fail(Exit code, const std::string& text) {
  std::fprintf(stderr, "penstockd: %s\n", text.c_str());
  return code;
}

// SIGHUP, or the API: the options that apply while it runs are taken from the file, the others
// wait.
Comparison reload(const std::string& path, Config& config, Events& events) {
  const Loaded again = load(path);
  Comparison found = compare(config, again);
  if (!again) {
    for (const Diagnostic& d : again.error())
      spdlog::error("{}", text(d));
    events.raise(EventName::kConfigRefused, path,
                 fmt::format("{} has {} mistake(s); the config stays as it was", path,
                             again.error().size()));
    return found;
  }
  config.log.level = again->log.level;
  config.rules = again->rules;
  set_log_level(config.log.level);
  events.clear(EventName::kConfigRefused, path, fmt::format("{} has no mistakes any more", path));
  events.note(EventName::kNote, "config read again");
  for (const OptionChange& c : found.changes)
    if (!c.live) spdlog::warn("{} waits for a restart", c.key);
  return found;
}

// Each attached client takes a handful.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

NodeConfig node_config(const Config& c, uint64_t epoch, const Plan& plan) {
  NodeConfig n;
  n.id = c.node.id;
  n.epoch = epoch;
  n.name = c.node.name;
  n.lane = c.lane.geometry();
  n.mirror = c.mirror.geometry();
  n.inbox = c.inbox.geometry();
  n.max_arena_bytes = c.max_arena_bytes;
  n.chain_from_bytes = c.link.chain_from_bytes;
  n.put_from_bytes = c.rdma.from_bytes;
  n.stripe_from_bytes = c.rdma.stripe_from_bytes;
  n.put_wait_ns = c.rdma.wait_ns;
  n.huge_pages = c.memory.hugepages != HugePages::kNever;
  IdleConfig idle;
  idle.mode = c.workers.idle;
  for (size_t i = 0; i < plan.workers.size(); i++)
    n.workers.push_back(idle);
  return n;
}

// The worker threads, pinned. With DPDK they are known to it, for buffer caches
// of their own.
class WorkerThreads {
 public:
  WorkerThreads(Node& node, const Plan& plan, bool eal) : node_(node) {
    for (uint32_t i = 0; i < node.worker_count(); i++)
      threads_.emplace_back([this, i, eal, cpu = plan.workers[i].cpu] { run(i, cpu, eal); });
  }
  ~WorkerThreads() {
    for (uint32_t i = 0; i < node_.worker_count(); i++)
      node_.worker(i).stop();
    for (std::thread& t : threads_)
      t.join();
  }

 private:
  void run(uint32_t i, uint32_t cpu, bool eal) {
    pthread_setname_np(pthread_self(), fmt::format("worker{}", i).c_str());
    if (!eal) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpu, &set);
      pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    } else if (const Errc e = enter_worker_thread(cpu); e != Errc::kOk) {
      spdlog::warn("worker {} is not pinned to CPU {}: {}", i, cpu, text(e));
    }
    node_.worker(i).run();
    if (eal) leave_worker_thread();
  }

  Node& node_;
  std::vector<std::thread> threads_;
};

// SIGTERM, SIGINT and SIGHUP as a descriptor; SIGPIPE is nobody's business.
Fd signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

uint64_t unix_ns() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

// `members` and `observer` may be null. SIGTERM drains for `drain_ns`; a second one, or ^C, ends
// at once.
void control_loop(Node& node, Events& happened, Listener& listener, Network& network,
                  Members* members, Observer* observer, Requests& requests, Steering& steering,
                  Service& service, int signal_fd, uint64_t drain_ns,
                  const std::function<void()>& hang_up) {
  constexpr uint64_t kLookNs = 1'000'000'000;
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  const auto answer = [&](const std::string& call, const std::string& request) {
    return steering.answer(call, request);
  };
  for (const int fd : {listener.fd(), node.events(), requests.events(), signal_fd,
                       members ? members->events() : -1}) {
    if (fd < 0) continue;
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &e);
  }
  const Clock clock;
  uint64_t stopping = 0;  // since when
  bool told = false;      // to stop, by a signal
  uint64_t look_at = 0, refresh_at = 0;
  while (true) {
    const uint64_t now = Clock::raw_ns();
    happened.turn(now, unix_ns());
    while (auto session = listener.accept())
      node.add_client(std::move(session), now);
    const uint32_t work = node.poll(now) + requests.poll(answer);
    if (now >= refresh_at) {
      refresh_at = now + Node::kTickNs;
      network.refresh();
    }
    if (members != nullptr) members->poll(node, network, now);
    if (node.drained() && stopping == 0) {
      spdlog::info("stopping");
      service.stopping();
      node.stop(now);
      stopping = now;
    }
    if (now >= look_at) {
      look_at = now + kLookNs;
      node.look_around(now);
      if (observer != nullptr) observer->report(node, happened, members);
    }
    service.poll(node, now);
    if (node.draining()) service.draining(now);
    // A second for what is on its way; then the process ends and the kernel
    // tells the rest.
    if (stopping != 0 &&
        (now - stopping > 1'000'000'000 || (node.idle() && now - stopping > 50'000'000)))
      return;
    epoll_event events[8];
    const bool sleep = work == 0 && node.before_sleep();
    const int n =
        epoll_wait(epoll.get(), events, 8, sleep ? static_cast<int>(Node::kTickNs / 1'000'000) : 0);
    if (sleep) node.after_sleep();
    for (int i = 0; i < n; i++) {
      signalfd_siginfo signal{};
      if (events[i].data.fd != signal_fd || read(signal_fd, &signal, sizeof signal) < 0) continue;
      if (signal.ssi_signo == SIGHUP) {
        service.reloading();
        hang_up();
        service.reloaded();
      } else {
        service.stopping();
        if (members != nullptr && !node.draining()) members->drain();
        const bool at_once = std::exchange(told, true) || signal.ssi_signo == SIGINT;
        node.drain(at_once ? now : now + drain_ns);
      }
    }
  }
}

int run(Config config, const std::string& path) {
  start_log(config.log);
  raise_descriptor_limit();
  const Fd signal_fd = signals();

  if (config.memory.hugepages == HugePages::kRequire) {
    if (const auto missing = huge_pages_missing(config.memory.buffers_bytes))
      return fail(kNoMemory, "huge pages are required (memory.hugepages): " + *missing);
  }
  PlacementRequest request;
  request.workers = config.workers.count;
  request.cpus = config.workers.cpus;
  request.pci = pci_addresses(config);
  const auto plan = place(request);
  if (!plan) return fail(kNoNetwork, plan.error());
  stay_on(plan->housekeeping);  // and all threads that are made from here on

  // The socket first: it says whether this node runs already.
  auto listener = Listener::open({.path = config.node.socket,
                                  .group = config.node.socket_group,
                                  .mode = config.node.socket_mode});
  if (!listener) return fail(kNoSocket, listener.error());
  Requests requests;
  auto api = ApiServer::open(config.api, requests);
  if (!api) return fail(kNoSocket, api.error());
  auto store = open_store(config.store);
  if (!store) return fail(kNoState, store.error());
  uint64_t known_epoch = 0;
  if (*store != nullptr) {
    const auto known = epoch_in_store(**store, config.node.id);
    if (known) known_epoch = *known;
    // No reason to stay away: the others may be reached without it.
    if (!known) spdlog::warn("store: {}", known.error().text);
  }
  const auto epoch = next_epoch(config.node.state_dir, known_epoch);
  if (!epoch) return fail(kNoState, epoch.error());
  auto network = Network::open(config, *plan);
  if (!network) return fail(kNoNetwork, network.error());
  auto rdma = RdmaDevices::open(config.rdma, *plan);
  if (!rdma) return fail(kNoNetwork, rdma.error());
  auto observer = Observer::open(config, *epoch, PENSTOCK_VERSION);
  if (!observer) return fail(kNoSocket, observer.error());
  if (!(*network)->warning().empty()) spdlog::warn("{}", (*network)->warning());

  std::string error;
  Events events(log_event);
  events.turn(Clock::raw_ns(), unix_ns());
  auto node = Node::create(
      node_config(config, *epoch, *plan), [&events](const Event& e) { events.take(e); }, error);
  if (node == nullptr) return fail(kNoMemory, error);
  node->set_topology(to_json(*plan));
  node->set_rights(Rights(config.rules));
  rdma->join(*node);
  (*network)->join(*node, config, *epoch);
  {
    const WorkerThreads threads(*node, *plan, (*network)->has_eal());
    spdlog::info(
        "node {} ({}), epoch {}, {} worker(s), {} port(s), {} "
        "peer(s), socket {}",
        config.node.id, config.node.name, *epoch, node->worker_count(), config.ports.size(),
        config.peers.size(), config.node.socket);
    std::unique_ptr<Members> members;
    if (*store != nullptr)
      members =
          std::make_unique<Members>(config, *epoch, PENSTOCK_VERSION, std::move(*store), events);
    const auto hang_up = [&] {
      Comparison found = reload(path, config, events);
      if (found.faults.empty()) node->set_rights(Rights(config.rules));
      return found;
    };
    const auto drain = [&](uint64_t ns) {
      if (members != nullptr && !node->draining()) members->drain();
      node->drain(Clock::raw_ns() + ns);
    };
    Steering steering({*node, members.get(), config, path, *epoch, events, hang_up, drain});
    std::fprintf(stderr, "penstockd: ready\n");
    Service service;
    service.ready(fmt::format("node {}, {} worker(s), {} port(s)", config.node.id,
                              node->worker_count(), config.ports.size()));
    control_loop(*node, events, *listener, **network, members.get(), observer->get(), requests,
                 steering, service, signal_fd.get(), config.node.drain_ns, hang_up);
    api->reset();
  }
  // The ports first: devices give references back late, to regions that are the
  // node's.
  network->reset();
  node.reset();
  spdlog::info("stopped");
  return kFine;
}

int start(const DaemonArguments& arguments) {
  if (arguments.rdma) {
    std::printf("%s\n", rdma_report().c_str());
    return kFine;
  }
  const Loaded loaded = load(arguments.config);
  if (!loaded) {
    for (const Diagnostic& d : loaded.error())
      std::fprintf(stderr, "%s\n", text(d).c_str());
    return kUsage;
  }
  if (arguments.check) {
    std::printf("%s: ok\n", arguments.config.c_str());
    return kFine;
  }
  if (arguments.topology) {
    PlacementRequest request;
    request.workers = loaded->workers.count;
    request.cpus = loaded->workers.cpus;
    request.pci = pci_addresses(*loaded);
    const auto plan = place(request);
    if (!plan) return fail(kNoNetwork, plan.error());
    std::printf("%s", describe(*plan).c_str());
    return kFine;
  }
  return run(*loaded, arguments.config);
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
  CLI::App app(penstock::kDaemonText);
  penstock::DaemonArguments arguments;
  penstock::declare(app, arguments);
  app.set_version_flag("--version", "penstockd " PENSTOCK_VERSION);
  app.footer(std::string(penstock::kDaemonExitText) + "\n\n" + penstock::help());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? penstock::kFine : penstock::kUsage;
  }
  return penstock::start(arguments);
}
