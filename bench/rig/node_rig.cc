// Two nodes, each embedded in its application: one thread a side publishes, reads, and between two
// steps turns the worker. So two CPUs measure two hosts.
//
//   left:  lane ──Forward──▶ link ══ port ═══════ port ══ link ──▶ mirror :right      and back
//
//   net_ring  two threads of one process; only pointers cross
//   vhost     two processes: the left one is virtio-user, the right one vhost-user
#include <bit>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "bench/rig/harness.h"
#include "bench/rig/lossy_port.h"
#include "bench/rig/temporary.h"
#include "bench/rig/way.h"
#include "dataplane/forward.h"
#include "dataplane/link/in_lane.h"
#include "dataplane/net_port.h"
#include "dataplane/worker.h"
#include "drivers/dpdk/device.h"
#include "drivers/dpdk/eal.h"
#include "drivers/dpdk/placement.h"

namespace penstock::bench {
namespace {

constexpr uint32_t kAlias = 1;
constexpr uint32_t kEpoch = 1;
constexpr uint16_t kUdpPort = 4747;
constexpr uint32_t kSendsPerTurn = 32;

template <class T>
T must(OrSentence<T> made) {
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().c_str());
    std::_Exit(1);
  }
  return std::move(*made);
}

bool is_ring(const Job& job) {
  return std::string_view(job.port) == "net_ring";
}

IpAddress address_of(unsigned side) {
  const std::byte bytes[] = {std::byte{10}, std::byte{77}, std::byte{0},
                             static_cast<std::byte>(side + 1)};
  return IpAddress::v4(bytes);
}

LaneGeometry geometry_of(const Job& job) {
  const auto arena_log2 = static_cast<uint32_t>(std::countr_zero(arena_bytes(job.size)));
  return {.ring_log2 = 13, .arena_log2 = arena_log2, .topics = 1};
}

class NodeEnd {
 public:
  struct Medium {
    Medium(const Job& j, Board& b)
        : job(j), board(b), socket(temporary(std::to_string(getpid()) + ".sock")) {
      if (!is_ring(j)) return;
      open(0, {static_cast<uint32_t>(cpus.of[0]), static_cast<uint32_t>(cpus.of[1])});
      devices[1] = must(DpdkDevice::open(spec(1)));
    }
    ~Medium() {
      for (auto& d : devices)
        d.reset();
      eal.reset();
      unlink(socket.c_str());
    }
    Medium(const Medium&) = delete;
    Medium& operator=(const Medium&) = delete;
    static bool threads(const Job& j) { return is_ring(j); }

    // Once in each process.
    void open(unsigned side, std::vector<uint32_t> workers) {
      PlacementRequest request;
      request.workers = static_cast<uint32_t>(workers.size());
      request.cpus = std::move(workers);
      const PortSpec ports[] = {spec(side), spec(1)};
      EalOptions options;
      options.ports = std::span(ports, is_ring(job) ? 2 : 1);
      eal = must(Eal::start(must(place(request)), options));
      devices[side] = must(DpdkDevice::open(spec(side)));
    }

    PortSpec spec(unsigned side) const {
      const std::string kind = is_ring(job) ? "ring:bench"
                               : side == 0  ? "virtio-user:" + socket
                                            : "vhost:" + socket;
      return must(parse_port(kind, job.mtu));
    }

    Job job;
    Board& board;
    std::string socket;
    Cpus cpus = Cpus::find();
    // A lane and its mirror each way; side s writes lanes[s] and has mirrors[s] of the other's.
    Way lanes[2] = {{geometry_of(job), 1}, {geometry_of(job), 1}};
    Way mirrors[2] = {{geometry_of(job), 1}, {geometry_of(job), 1}};
    Region regions[2];  // lanes[s], known to the port; frames may refer to them until it is closed
    std::unique_ptr<Eal> eal;
    std::unique_ptr<DpdkDevice> devices[2];
  };

  NodeEnd(Medium& m, unsigned side)
      : job_(m.job),
        out_(m.lanes[side]),
        mirror_(m.mirrors[1 - side]),
        in_(m.mirrors[side]),
        region_(m.regions[side]),
        worker_(Worker::Config{}) {
    const auto cpu = static_cast<uint32_t>(m.cpus.of[side]);
    if (!is_ring(job_)) m.open(side, {cpu});
    if (enter_worker_thread(cpu) != Errc::kOk) die("enter_worker_thread");
    open_lanes(out_);
    open_network(*m.devices[side], side);
    while (!up()) {
      m.devices[side]->refresh();
      turn();
    }
    m.board.barrier(side);
  }
  NodeEnd(const NodeEnd&) = delete;
  NodeEnd& operator=(const NodeEnd&) = delete;

  ~NodeEnd() { leave_worker_thread(); }

  bool send(uint64_t number) {
    std::byte* to = writer_.loan(job_.size);
    if (to == nullptr) {
      turn();
      return false;
    }
    if (job_.touched()) fill(to, job_.size, number);
    writer_.commit(meta_);
    if (job_.kind == Kind::kRtt || ++sends_ % kSendsPerTurn == 0) turn();
    return true;
  }

  template <class F>
  uint32_t poll(uint32_t, F&& f) {
    turn();
    Message m;
    uint32_t n = 0;
    while (n < job_.burst && reader_.next(m) == LaneReader::Next::kMessage) {
      f(m.data, m.len);
      n++;
    }
    if (n != 0) reader_.release();
    return n;
  }

 private:
  void turn() { worker_.turn(clock_.now()); }

  void open_lanes(const Way& out) {
    writer_ = LaneWriter(out.lane, out.geometry, out.page);
    meta_.topic = *writer_.add_topic("bench");
    writer_.attach_reader(0, kGeneration, &out.positions->slots[0], {});
    mirror_writer_ = LaneWriter(in_.lane, in_.geometry, in_.page);
    (void)mirror_writer_.add_topic("bench");
    mirror_writer_.attach_reader(0, kGeneration, &in_.positions->slots[0], {});
    reader_ = LaneReader(in_.join(0));
    in_lane_ = std::make_unique<InLane>(kAlias, kEpoch, mirror_writer_, 1);
  }

  void open_network(DpdkDevice& device, unsigned side) {
    if (job_.lost != 0) lossy_.emplace(device.queue(0), job_.lost, side + 1);
    Port& port = lossy_ ? static_cast<Port&>(*lossy_) : device.queue(0);
    NetPort::Config c;
    c.station.mac.bytes = port.info().mac;
    c.station.v4 = address_of(side);
    c.udp_port = kUdpPort;
    net_ = std::make_unique<NetPort>(port, c);
    worker_.add_port(net_.get());
    LinkPath::Config path;
    path.link.self_id = side + 1;
    path.link.peer_id = 2 - side;
    path.link.seed = side + 1;
    path.link.congestion = false;  // as penstockd has it for these ports
    path.remote = address_of(1 - side);
    path.local_udp = kUdpPort;
    path.remote_udp = kUdpPort;
    path_ = std::make_unique<LinkPath>(path, port.info().max_frame);
    region_.base = out_.lane;
    region_.bytes = out_.geometry.total_bytes();
    if (port.map_region(region_) != Errc::kOk) die("map_region");
    Forward::Config f;
    f.join = out_.join(0);
    f.path = path_.get();
    f.alias = kAlias;
    f.epoch = kEpoch;
    f.mirror = mirror_.geometry;
    f.region = &region_;
    f.every_topic = true;
    forward_ = std::make_unique<Forward>(f);
    (void)net_->add_link(path_.get(), clock_.now());
  }

  bool up() {
    LinkNotice notice;
    if (!net_->next_notice(notice)) return false;
    if (notice.event.kind != LinkEvent::kUp) return false;
    if (path_->link.add_in(in_lane_.get()) != Errc::kOk) die("add_in");
    if (path_->link.add_out(&forward_->out()) != Errc::kOk) die("add_out");
    worker_.tasks().add(forward_.get());
    return true;
  }

  Job job_;
  Way& out_;
  Way& mirror_;  // of out_, at the other side
  Way& in_;      // the mirror that we write and read
  Region& region_;
  Clock clock_;
  Worker worker_;
  LaneWriter writer_;
  Meta meta_;
  LaneWriter mirror_writer_;
  LaneReader reader_;
  std::optional<LossyPort> lossy_;
  std::unique_ptr<NetPort> net_;
  std::unique_ptr<LinkPath> path_;
  std::unique_ptr<InLane> in_lane_;
  std::unique_ptr<Forward> forward_;
  uint32_t sends_ = 0;
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::bench_main<penstock::bench::NodeEnd>(argc, argv);
}
