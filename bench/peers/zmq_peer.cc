// The same work over libzmq's ipc transport: PAIR for round trips and one way, XPUB that never
// drops to SUBs for fan-out. Messages are made in place (zmq_msg_init_size), so the library copies
// them into the socket and out of it and no more often.
//
// Waiting is by blocking calls: a polling application thread fights libzmq's own I/O thread, which
// sits on the same CPU, and both lose (the median falls by a third, p99 grows fiftyfold).
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>
#include <zmq.h>

#include "bench/rig/harness.h"

namespace penstock::bench {
namespace {

constexpr int kWaitMs = 50;

void must(int rc) {
  if (rc < 0) {
    std::fprintf(stderr, "zmq: %s\n", zmq_strerror(zmq_errno()));
    std::_Exit(1);
  }
}

class ZmqEnd {
 public:
  struct Medium {
    Medium(const Job& j, Board&)
        : job(j), address("ipc://@penstock-bench-" + std::to_string(getpid())) {}
    static bool threads(const Job&) { return false; }
    Job job;
    std::string address;
  };

  ZmqEnd(Medium& m, unsigned side) : job_(m.job), context_(zmq_ctx_new()) {
    const bool fan = job_.kind == Kind::kFan;
    const bool left = side == 0;
    const uint32_t sockets = fan && !left ? job_.readers : 1;
    for (uint32_t i = 0; i < sockets; i++) {
      open(!fan ? ZMQ_PAIR : left ? ZMQ_XPUB : ZMQ_SUB);
      must(left ? zmq_bind(sockets_[i], m.address.c_str())
                : zmq_connect(sockets_[i], m.address.c_str()));
      waits_.push_back({.socket = sockets_[i], .fd = 0, .events = ZMQ_POLLIN, .revents = 0});
    }
    if (fan && left) await_subscribers();
  }

  ZmqEnd(const ZmqEnd&) = delete;
  ZmqEnd& operator=(const ZmqEnd&) = delete;

  ~ZmqEnd() {
    for (void* s : sockets_)
      zmq_close(s);
    zmq_ctx_term(context_);
  }

  bool send(uint64_t number) {
    zmq_msg_t m;
    must(zmq_msg_init_size(&m, job_.size));
    fill(static_cast<std::byte*>(zmq_msg_data(&m)), job_.size, number);
    if (zmq_msg_send(&m, sockets_[0], 0) >= 0) return true;
    must(zmq_errno() == EAGAIN || zmq_errno() == EINTR ? 0 : -1);
    zmq_msg_close(&m);
    return false;
  }

  template <class F>
  uint32_t poll(uint32_t reader, F&& f) {
    uint32_t n = 0;
    zmq_msg_t m;
    must(zmq_msg_init(&m));
    while (n < job_.burst) {
      // With one socket the first receive waits; with many, zmq_poll below does.
      const int flags = n == 0 && sockets_.size() == 1 ? 0 : ZMQ_DONTWAIT;
      if (zmq_msg_recv(&m, sockets_[reader], flags) < 0) break;
      f(static_cast<const std::byte*>(zmq_msg_data(&m)), zmq_msg_size(&m));
      n++;
    }
    zmq_msg_close(&m);
    idle_ = n == 0 ? idle_ + 1 : 0;
    if (sockets_.size() > 1 && idle_ >= sockets_.size()) {
      zmq_poll(waits_.data(), static_cast<int>(waits_.size()), kWaitMs);
      idle_ = 0;
    }
    return n;
  }

 private:
  void open(int type) {
    void* s = zmq_socket(context_, type);
    if (s == nullptr) must(-1);
    const auto set = [s](int option, int value) {
      must(zmq_setsockopt(s, option, &value, sizeof value));
    };
    const auto high_water =
        static_cast<int>(std::clamp<size_t>((size_t{16} << 20) / job_.size, 16, 1000));
    set(ZMQ_SNDHWM, high_water);
    set(ZMQ_RCVHWM, high_water);
    set(ZMQ_SNDTIMEO, kWaitMs);
    set(ZMQ_RCVTIMEO, kWaitMs);
    set(ZMQ_LINGER, 0);
    if (type == ZMQ_XPUB) {
      set(ZMQ_XPUB_NODROP, 1);
      set(ZMQ_XPUB_VERBOSE, 1);  // shows every subscriber, also with a filter it knows already
    }
    if (type == ZMQ_SUB) must(zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0));
    sockets_.push_back(s);
  }

  void await_subscribers() {
    char subscription[8];
    for (uint32_t i = 0; i < job_.readers;) {
      if (zmq_recv(sockets_[0], subscription, sizeof subscription, 0) > 0) i++;
    }
  }

  Job job_;
  void* context_;
  std::vector<void*> sockets_;
  std::vector<zmq_pollitem_t> waits_;
  size_t idle_ = 0;
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::bench_main<penstock::bench::ZmqEnd>(argc, argv);
}
