// What a program on the host gets: the public client library, with a real penstockd beside it that
// sets the lanes up and then stays out of the way. Each side publishes on a topic of its own and
// subscribes to the other's.
#include <string>
#include <vector>

#include "bench/rig/daemon.h"
#include "bench/rig/harness.h"
#include "dataplane/client/penstock.hpp"

namespace penstock::bench {
namespace {

template <class T>
T must(pen::Result<T> made) {
  if (!made) {
    std::fprintf(stderr, "penstock: %s: %s\n", pen::text(made.code()), pen::last_error());
    std::_Exit(1);
  }
  return std::move(*made);
}

constexpr const char* kTopics[] = {"bench.left", "bench.right"};

class ClientEnd {
 public:
  struct Medium {
    Medium(const Job& j, Board& b) : job(j), board(b) {}
    static bool threads(const Job&) { return false; }
    Job job;
    Board& board;
    Daemon daemon;
  };

  ClientEnd(Medium& m, unsigned side) : job_(m.job), client_(attach(m)) {
    publisher_ = must(client_.publisher(
        {.ring_entries = 8192, .max_topics = 1, .arena_bytes = arena_bytes(job_.size)}));
    m.board.barrier(side);  // subscribers join publishers that are there
    const uint32_t readers = side == 1 ? job_.readers : 1;
    for (uint32_t i = 0; i < readers; i++)
      subscribers_.push_back(must(client_.subscriber(kTopics[1 - side])));
    m.board.barrier(side);
    topic_ = must(publisher_.topic(kTopics[side]));
  }

  bool send(uint64_t number) {
    auto room = publisher_.loan(job_.size);
    if (!room) return false;
    if (job_.touched()) fill(room->data(), job_.size, number);
    return publisher_.commit(topic_, job_.size) == PENSTOCK_OK;
  }

  template <class F>
  uint32_t poll(uint32_t reader, F&& f) {
    const auto show = [&f](const pen::Message& m) {
      if (m.is_gap()) {
        std::fprintf(stderr, "penstock: %lu messages from %lu on did not come: %s\n", m.gap_count,
                     m.position, m.gap_reason_text());
        std::_Exit(1);
      }
      f(static_cast<const std::byte*>(m.data), m.len);
    };
    const int64_t n = subscribers_[reader].poll(show, job_.burst);
    if (n < 0) die("the node went away");
    return static_cast<uint32_t>(n);
  }

 private:
  static pen::Client attach(const Medium& m) {
    for (int i = 0; i < 500; i++) {
      auto client = pen::Client::attach("bench", m.daemon.socket().c_str());
      if (client) return std::move(*client);
      usleep(10'000);
    }
    std::fprintf(stderr, "penstock: %s\n", pen::last_error());
    std::_Exit(1);
  }

  Job job_;
  pen::Client client_;
  pen::Publisher publisher_;
  std::vector<pen::Subscriber> subscribers_;
  uint32_t topic_ = 0;
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::bench_main<penstock::bench::ClientEnd>(argc, argv);
}
