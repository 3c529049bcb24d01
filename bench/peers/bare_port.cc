// The limit between two nodes: raw poll-mode bursts on the same devices, with nothing in a frame
// but the bytes that the sender wrote and the receiver reads. SIZE is the frame's.
//
//   net_ring  two threads of one process, crossed rte_rings: only pointers cross
//   vhost     two processes: the left one is virtio-user, the right one vhost-user, which copies
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "bench/rig/harness.h"
#include "bench/rig/temporary.h"

namespace penstock::bench {
namespace {

constexpr uint16_t kBurst = 32;
constexpr unsigned kMbufs = 4095;
constexpr uint16_t kDescriptors = 1024;

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "dpdk: %s: %s\n", what, rte_strerror(rte_errno));
  std::_Exit(1);
}

bool is_ring(const Job& job) {
  return std::string_view(job.port) == "net_ring";
}

void start_eal(int cpu, const std::vector<std::string>& devices) {
  std::vector<std::string> args = {"bare_port",
                                   "--lcores",
                                   "0@" + std::to_string(cpu),
                                   "--no-pci",
                                   "--no-huge",
                                   "--no-shconf",
                                   "-m",
                                   "256",
                                   "--iova-mode=va",
                                   "--log-level=4",
                                   "--no-telemetry",
                                   "--file-prefix=penstock-bench-" + std::to_string(getpid())};
  for (const std::string& d : devices)
    args.push_back(d);
  std::vector<char*> argv;
  for (std::string& a : args)
    argv.push_back(a.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) give_up("rte_eal_init");
}

uint16_t find_port(const char* name) {
  uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(name, &id) != 0) give_up(name);
  return id;
}

rte_mempool* new_pool(const char* name, uint32_t mtu) {
  const auto room = static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + (mtu <= 1500 ? 2048 : mtu + 256));
  rte_mempool* pool = rte_pktmbuf_pool_create(name, kMbufs, 256, 0, room, 0);
  if (pool == nullptr) give_up("rte_pktmbuf_pool_create");
  return pool;
}

void start_port(uint16_t port, rte_mempool* pool) {
  rte_eth_conf conf{};
  if (rte_eth_dev_configure(port, 1, 1, &conf) != 0) give_up("rte_eth_dev_configure");
  if (rte_eth_rx_queue_setup(port, 0, kDescriptors, 0, nullptr, pool) != 0) give_up("rx queue");
  if (rte_eth_tx_queue_setup(port, 0, kDescriptors, 0, nullptr) != 0) give_up("tx queue");
  if (rte_eth_dev_start(port) != 0) give_up("rte_eth_dev_start");
}

void await_link(uint16_t port) {
  for (int i = 0; i < 1000; i++) {
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP) return;
    usleep(10'000);
  }
  give_up("the link stays down");
}

class PortEnd {
 public:
  struct Medium {
    Medium(const Job& j, Board& b)
        : job(j), board(b), socket(temporary(std::to_string(getpid()) + ".sock")) {
      if (!is_ring(j)) return;
      start_eal(Cpus::find().of[0], {});
      rte_ring* ways[2];
      for (int i = 0; i < 2; i++) {
        const std::string name = "way" + std::to_string(i);
        ways[i] = rte_ring_create(name.c_str(), kDescriptors, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (ways[i] == nullptr) give_up("rte_ring_create");
      }
      for (int i = 0; i < 2; i++) {
        const std::string name = "side" + std::to_string(i);
        const int id = rte_eth_from_rings(name.c_str(), &ways[1 - i], 1, &ways[i], 1, 0);
        if (id < 0) give_up("rte_eth_from_rings");
        ports[i] = static_cast<uint16_t>(id);
      }
    }
    ~Medium() {
      unlink(socket.c_str());
      std::error_code ignored;
      const std::string runtime = rte_eal_get_runtime_dir();
      rte_eal_cleanup();
      std::filesystem::remove_all(runtime, ignored);  // DPDK leaves it behind
    }
    Medium(const Medium&) = delete;
    Medium& operator=(const Medium&) = delete;

    static bool threads(const Job& j) { return is_ring(j); }

    Job job;
    Board& board;
    std::string socket;
    uint16_t ports[2] = {};
    Cpus cpus = Cpus::find();
  };

  PortEnd(Medium& m, unsigned side) : job_(m.job) {
    if (is_ring(job_)) {
      if (side == 1 && rte_thread_register() != 0) give_up("rte_thread_register");
      port_ = m.ports[side];
      open(side);
      return;
    }
    // The vhost side listens before the virtio side connects.
    const int cpu = m.cpus.of[side];
    if (side == 1) {
      start_eal(cpu, {"--vdev=net_vhost0,iface=" + m.socket + ",queues=1"});
      port_ = find_port("net_vhost0");
      open(side);
      m.board.barrier(side);
    } else {
      m.board.barrier(side);
      start_eal(cpu, {"--single-file-segments",
                      "--vdev=net_virtio_user0,path=" + m.socket + ",queues=1,queue_size=1024"});
      port_ = find_port("net_virtio_user0");
      open(side);
    }
    await_link(port_);
  }

  bool send(uint64_t number) {
    if (filled_ == kBurst) {
      flush();
      if (filled_ == kBurst) return false;
    }
    if (ready_ == filled_) {
      if (rte_pktmbuf_alloc_bulk(pool_, &out_[ready_], static_cast<unsigned>(kBurst - ready_)) != 0)
        return false;
      ready_ = kBurst;
    }
    rte_mbuf* m = out_[filled_++];
    m->data_len = static_cast<uint16_t>(job_.size);
    m->pkt_len = static_cast<uint32_t>(job_.size);
    fill(rte_pktmbuf_mtod(m, std::byte*), job_.size, number);
    if (filled_ == kBurst || job_.kind == Kind::kRtt) flush();
    return true;
  }

  template <class F>
  uint32_t poll(uint32_t, F&& f) {
    rte_mbuf* in[kBurst];
    const uint16_t n = rte_eth_rx_burst(port_, 0, in, kBurst);
    for (uint16_t i = 0; i < n; i++) {
      f(rte_pktmbuf_mtod(in[i], const std::byte*), in[i]->data_len);
    }
    if (n != 0) rte_pktmbuf_free_bulk(in, n);
    return n;
  }

 private:
  void open(unsigned side) {
    pool_ = new_pool(side == 0 ? "left" : "right", job_.mtu);
    start_port(port_, pool_);
  }

  // What the device does not take stays in front, in order.
  void flush() {
    const uint16_t sent = rte_eth_tx_burst(port_, 0, out_, filled_);
    std::memmove(&out_[0], &out_[sent], static_cast<size_t>(ready_ - sent) * sizeof out_[0]);
    filled_ = static_cast<uint16_t>(filled_ - sent);
    ready_ = static_cast<uint16_t>(ready_ - sent);
  }

  Job job_;
  uint16_t port_ = 0;
  rte_mempool* pool_ = nullptr;
  rte_mbuf* out_[kBurst];
  uint16_t filled_ = 0;  // out_[0, filled_) wait to be sent
  uint16_t ready_ = 0;   // out_[filled_, ready_) are empty
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::bench_main<penstock::bench::PortEnd>(argc, argv);
}
