// Lanes alone, without a node: LaneWriter and LaneReader over shared memory, as the client library
// uses them. What a row here loses against bare_ring is the price of descriptors, topics, joining
// and leaving, eviction and waking.
#include <bit>
#include <vector>

#include "bench/rig/harness.h"
#include "bench/rig/way.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"

namespace penstock::bench {
namespace {

LaneGeometry geometry_of(const Job& job) {
  const auto arena_log2 = static_cast<uint32_t>(std::countr_zero(arena_bytes(job.size)));
  return {.ring_log2 = 13, .arena_log2 = arena_log2, .topics = 1};
}

class LaneEnd {
 public:
  struct Medium {
    Medium(const Job& j, Board&)
        : job(j), ways{{geometry_of(j), j.readers}, {geometry_of(j), j.readers}} {}
    static bool threads(const Job&) { return false; }
    Job job;
    Way ways[2];  // left to right, right to left
  };

  LaneEnd(Medium& m, unsigned side) : job_(m.job) {
    Way& out = m.ways[side];
    writer_ = LaneWriter(out.lane, out.geometry, out.page);
    meta_.topic = *writer_.add_topic("bench");
    Way& in = m.ways[1 - side];
    for (uint32_t i = 0; i < m.job.readers; i++) {
      readers_.emplace_back(in.join(i));
      writer_.attach_reader(i, kGeneration, &out.positions->slots[i], {});
    }
  }

  bool send(uint64_t number) {
    std::byte* to = writer_.loan(job_.size);
    if (to == nullptr) return false;
    if (job_.touched()) fill(to, job_.size, number);
    writer_.commit(meta_);
    return true;
  }

  template <class F>
  uint32_t poll(uint32_t reader, F&& f) {
    LaneReader& r = readers_[reader];
    Message m;
    uint32_t n = 0;
    while (n < job_.burst && r.next(m) == LaneReader::Next::kMessage) {
      f(m.data, m.len);
      n++;
    }
    if (n != 0) r.release();
    return n;
  }

 private:
  Job job_;
  LaneWriter writer_;
  Meta meta_;
  std::vector<LaneReader> readers_;
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::bench_main<penstock::bench::LaneEnd>(argc, argv);
}
