// What a link costs per message and per byte, without a port: one side's frames are given to the
// other as they are. Each side alone, as a core would run it, and both with acknowledgements.
#include <algorithm>
#include <array>
#include <benchmark/benchmark.h>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/link/link.h"
#include "tests/support/test_lane.h"

namespace {

using namespace penstock;
using test::LaneFeed;
using test::TestLane;

// Small enough for a second-level cache, as a lane that keeps up is.
constexpr LaneGeometry kLane{.ring_log2 = 10, .arena_log2 = 20, .topics = 1};

LinkConfig config(uint64_t self, uint32_t max_frame) {
  return {.self_id = self, .peer_id = 3 - self, .max_frame = max_frame, .seed = self};
}

// Two links, up, with one lane from the first to the second.
class Pair {
 public:
  explicit Pair(uint32_t max_frame)
      : lane(kLane),
        mirror(kLane, 2),
        a(config(1, max_frame)),
        b(config(2, max_frame)),
        feed(lane),
        reader(mirror.read()),
        out(1, 1, kLane, feed),
        in(1, 1, mirror.writer(), 1),
        buffers(kBurst * max_frame) {
    for (size_t i = 0; i < kBurst; i++)
      frames[i] = {.data = buffers.data() + i * max_frame, .room = max_frame};
    a.start(now);
    b.start(now);
    for (int i = 0; i < 4; i++) {
      pass(a, b);
      pass(b, a);
    }
    (void)a.add_out(&out);
    (void)b.add_in(&in);
  }

  // What `from` has to say, said to `to`. Returns the frames.
  size_t pass(Link& from, Link& to) {
    const size_t n = from.transmit(frames, now);
    for (size_t i = 0; i < n; i++)
      to.on_frame(frames[i].data, frames[i].len, frames[i].payload, frames[i].payload_len, now);
    return n;
  }

  void publish(size_t n, size_t len) {
    for (size_t i = 0; i < n; i++) {
      std::byte* to = lane.writer().loan(len);
      if (to == nullptr) return;
      std::memset(to, 1, std::min<size_t>(len, 64));
      lane.writer().commit({});
    }
    a.wake(&out);
  }

  void consume() {
    Message m;
    while (reader.next(m) == LaneReader::Next::kMessage)
      benchmark::DoNotOptimize(m.data[0]);
    reader.release();
  }

  static constexpr size_t kBurst = 32;
  uint64_t now = 1'000'000'000;
  TestLane lane, mirror;
  Link a, b;
  LaneFeed feed;
  LaneReader reader;
  OutLane out;
  InLane in;
  std::vector<std::byte> buffers;
  std::array<TxFrame, kBurst> frames;
};

// Times only what `timed` does; the rest of a round is done outside of the clock.
enum class Part { kSend, kReceive, kAll };

void messages(benchmark::State& state, Part part) {
  const auto len = static_cast<size_t>(state.range(0));
  const auto max_frame = static_cast<uint32_t>(state.range(1));
  auto p = std::make_unique<Pair>(max_frame);
  const size_t batch = std::max<size_t>(1, std::min<size_t>(256, (1u << 19) / len));
  uint64_t moved = 0;
  std::vector<double> rounds;
  for (auto _ : state) {
    p->publish(batch, len);
    p->now += 1000;
    double seconds = 0;
    size_t n = 0;
    do {
      const auto t0 = std::chrono::steady_clock::now();
      n = p->a.transmit(p->frames, p->now);
      const auto t1 = std::chrono::steady_clock::now();
      for (size_t i = 0; i < n; i++) {
        const TxFrame& f = p->frames[i];
        p->b.on_frame(f.data, f.len, f.payload, f.payload_len, p->now);
      }
      const auto t2 = std::chrono::steady_clock::now();
      p->pass(p->b, p->a);
      const auto t3 = std::chrono::steady_clock::now();
      if (part == Part::kSend) seconds += std::chrono::duration<double>(t1 - t0).count();
      if (part == Part::kReceive) seconds += std::chrono::duration<double>(t2 - t1).count();
      if (part == Part::kAll) seconds += std::chrono::duration<double>(t3 - t0).count();
    } while (n != 0);
    p->consume();
    p->now += 30'000;
    p->pass(p->b, p->a);
    state.SetIterationTime(seconds);
    rounds.push_back(seconds);
    moved += batch;
  }
  if (p->in.stats().delivered.read() != moved) state.SkipWithError("messages are missing");
  // The median, because a core that is shared makes a mean of the other programs.
  std::ranges::nth_element(rounds, rounds.begin() + static_cast<std::ptrdiff_t>(rounds.size() / 2));
  const double median = rounds[rounds.size() / 2] / static_cast<double>(batch);
  state.counters["ns_per_message"] = median * 1e9;
  state.counters["GB_per_s"] = static_cast<double>(len) / median * 1e-9;
}

void send(benchmark::State& state) {
  messages(state, Part::kSend);
}
void receive(benchmark::State& state) {
  messages(state, Part::kReceive);
}
void both(benchmark::State& state) {
  messages(state, Part::kAll);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->UseManualTime()->ArgNames({"len", "frame"});
  for (const int frame : {1472, 8972})
    for (const int len : {64, 1024, 65536})
      b->Args({len, frame});
}
BENCHMARK(send)->Apply(sizes);
BENCHMARK(receive)->Apply(sizes);
BENCHMARK(both)->Apply(sizes);

// A message there and back, one at a time, without a port: what a link adds to a round trip.
void ping_pong(benchmark::State& state) {
  auto p = std::make_unique<Pair>(1472);
  TestLane back(kLane, 3), back_mirror(kLane, 4);
  LaneFeed back_feed(back);
  LaneReader back_reader = back_mirror.read();
  OutLane back_out(1, 1, kLane, back_feed);
  InLane back_in(1, 1, back_mirror.writer(), 3);
  (void)p->b.add_out(&back_out);
  (void)p->a.add_in(&back_in);
  const std::array<std::byte, 64> bytes{};
  Message m;
  for (auto _ : state) {
    p->now += 200;
    (void)p->lane.writer().send({}, bytes);
    p->a.wake(&p->out);
    p->pass(p->a, p->b);
    if (p->reader.next(m) != LaneReader::Next::kMessage) return state.SkipWithError("lost");
    p->reader.release();
    p->now += 200;
    (void)back.writer().send({}, bytes);
    p->b.wake(&back_out);
    p->pass(p->b, p->a);
    if (back_reader.next(m) != LaneReader::Next::kMessage) return state.SkipWithError("lost");
    back_reader.release();
  }
}
BENCHMARK(ping_pong);

}  // namespace

BENCHMARK_MAIN();
