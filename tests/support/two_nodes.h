// TwoNodes: two true nodes in one process, joined by the simulator, with attach sockets for true
// clients. One background thread drives both nodes, all workers and the net, so every data path of
// the product is the real one but for the NIC.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/attach/listener.h"
#include "control/node/node.h"
#include "dataplane/base/clock.h"
#include "drivers/sim/sim_fabric.h"
#include "drivers/sim/sim_net.h"

namespace penstock {

struct TwoNodesConfig {
  uint64_t seed = 1;
  uint32_t workers = 1;
  uint64_t dead_after_ns = 10'000'000'000;
  bool maps = true;            // lanes can be shown to the ports
  std::array<bool, 2> rdma{};  // whose workers have a device
  uint64_t put_wait_ns = 10'000'000'000;
  LaneGeometry lane{.ring_log2 = 6, .arena_log2 = 18, .topics = 64};
  LaneGeometry mirror{.ring_log2 = 6, .arena_log2 = 18, .topics = 64};
  LaneGeometry inbox{.ring_log2 = 6, .arena_log2 = 18, .topics = 64};
};

class TwoNodes {
 public:
  explicit TwoNodes(const TwoNodesConfig& config = {})
      : config_(config), net_(config.seed), fabrics_(config.seed + 1), dir_(make_dir()) {
    fabrics_.advance(Clock::raw_ns());
    latest = this;
    for (int i = 0; i < 2; i++) {
      sides_[i].listener = std::make_unique<Listener>(
          std::move(*Listener::open({.path = socket(i), .group = "", .mode = 0600})));
      start(i, 1);
    }
    thread_ = std::thread([this] { drive(); });
  }

  ~TwoNodes() {
    stop_ = true;
    thread_.join();
    for (Side& s : sides_)
      s = {};
    std::filesystem::remove_all(dir_);
  }

  std::string socket(int side) const { return dir_ + (side == 0 ? "/a.sock" : "/b.sock"); }

  // Runs `f` between two turns of the driving thread.
  void between_turns(const std::function<void()>& f) {
    const std::scoped_lock lock(mutex_);
    f();
  }
  void set_faults(const SimFaults& faults) {
    between_turns([&] {
      for (Side& s : sides_)
        for (SimPort* p : s.ports)
          p->faults = faults;
    });
  }
  // For what runs between turns.
  Node& node(int side) { return *sides_[side].node; }
  SimFabric& fabric(int side) { return *sides_[side].fabrics.back(); }
  std::string show(int side, const char* question) {
    std::string answer;
    between_turns([&] { answer = sides_[side].node->show(question); });
    return answer;
  }
  NodeNumbers numbers(int side) {
    NodeNumbers n;
    between_turns([&] { n = sides_[side].node->numbers(); });
    return n;
  }
  // The node dies and comes back with a higher epoch; its clients see their sockets close.
  void restart(int side, uint64_t epoch) {
    between_turns([&] {
      for (SimPort* p : sides_[side].ports)
        p->faults.cut = true;
      sides_[side].node.reset();
      sides_[side].nets.clear();
      sides_[side].ports.clear();
      start(side, epoch);
    });
  }
  const std::vector<std::string>& log() const { return log_; }
  // Lines of it so far that say this.
  size_t logged(std::string_view text) {
    size_t n = 0;
    between_turns([&] {
      n = static_cast<size_t>(std::ranges::count_if(
          log_, [&](const std::string& line) { return line.find(text) != std::string::npos; }));
    });
    return n;
  }

  // All there is to know, for the message of a test that fails.
  std::string describe() {
    std::string all;
    for (int side = 0; side < 2; side++)
      for (const char* question : {"lanes", "links", "clients", "drops", "node"})
        all += "\n" + std::string(1, static_cast<char>('a' + side)) + " " + question + ": " +
               show(side, question);
    for (const std::string& line : log_)
      all += "\n" + line;
    return all;
  }
  inline static TwoNodes* latest = nullptr;

 private:
  struct Side {
    std::unique_ptr<Listener> listener;
    std::vector<SimPort*> ports;
    std::vector<std::unique_ptr<NetPort>> nets;
    std::vector<SimFabric*> fabrics;
    std::unique_ptr<Node> node;
    // The node's lanes go before the ports that know them.
    Side& operator=(Side&&) = default;
    Side() = default;
    Side(Side&&) = default;
    ~Side() { node.reset(); }
  };

  static std::string make_dir() {
    std::string path = "/tmp/penstock-test-XXXXXX";
    return mkdtemp(path.data()) != nullptr ? path : std::string();
  }

  static IpAddress address(int side, uint32_t worker) {
    return *parse_ip("10.9." + std::to_string(worker) + "." + std::to_string(side + 1));
  }

  void start(int i, uint64_t epoch) {
    Side& s = sides_[i];
    NodeConfig c;
    c.id = static_cast<uint64_t>(i) + 1;
    c.epoch = epoch;
    c.name = i == 0 ? "a" : "b";
    c.lane = config_.lane;
    c.mirror = config_.mirror;
    c.inbox = config_.inbox;
    c.put_wait_ns = config_.put_wait_ns;
    c.workers.assign(config_.workers, IdleConfig{});
    std::string error;
    s.node = Node::create(
        c, [this](std::string_view t) { log_.emplace_back(t); }, error);
    std::vector<PathRecord> paths;
    for (uint32_t w = 0; w < config_.workers; w++) {
      SimPort& port = net_.add_port({.maps = config_.maps});
      s.ports.push_back(&port);
      NetPort::Config n;
      n.station.mac.bytes = port.info().mac;
      n.station.v4 = address(i, w);
      n.udp_port = 9470;
      n.worker = w;
      n.workers = config_.workers;
      s.nets.push_back(std::make_unique<NetPort>(port, n));
      s.node->add_port({.name = "sim",
                        .device = "sim",
                        .address = "",
                        .mtu = 1500,
                        .worker = w,
                        .queue = w,
                        .net = s.nets.back().get()});
      if (config_.rdma[i]) {
        s.fabrics.push_back(&fabrics_.add());
        s.node->add_fabric("sim", w, *s.fabrics.back(), 1'000'000'000);
      }
      LinkPath::Config l;
      l.link.self_id = c.id;
      l.link.self_epoch = epoch;
      l.link.peer_id = 3 - c.id;
      l.link.path = static_cast<uint16_t>(w);
      l.link.worker = static_cast<uint8_t>(w);
      l.link.index = w;
      l.link.dead_after_ns = config_.dead_after_ns;
      l.link.seed = config_.seed * 7 + epoch * 31 + c.id;
      l.remote = address(1 - i, w);
      l.local_udp = l.remote_udp = 9470;
      PathRecord p;
      p.net = s.nets.back().get();
      p.worker = w;
      p.path = std::make_unique<LinkPath>(l, port.info().max_frame);
      paths.push_back(std::move(p));
    }
    s.node->add_peer(3 - c.id, i == 0 ? "b" : "a", std::move(paths));
  }

  void drive() {
    while (!stop_) {
      uint32_t work = 0;
      {
        const std::scoped_lock lock(mutex_);
        const uint64_t now = Clock::raw_ns();
        net_.advance(now);
        fabrics_.advance(now);
        for (Side& s : sides_) {
          while (auto session = s.listener->accept())
            s.node->add_client(std::move(session), now);
          for (uint32_t w = 0; w < config_.workers; w++)
            work += s.node->worker(w).turn(now);
          work += s.node->poll(now);
        }
      }
      if (work == 0) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  TwoNodesConfig config_;
  SimNet net_;
  SimFabricNet fabrics_;
  std::string dir_;
  Side sides_[2];
  std::mutex mutex_;
  std::vector<std::string> log_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace penstock
