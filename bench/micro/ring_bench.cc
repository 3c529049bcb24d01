// Rings and lanes on one core: what the instructions cost when no cache line has to move. What it
// costs between two cores is bench/rig's business.
#include <benchmark/benchmark.h>
#include <memory>
#include <vector>

#include "dataplane/base/spsc_ring.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"

namespace penstock {
namespace {

void spsc_ring(benchmark::State& state) {
  auto ring = std::make_unique<SpscRing<uint64_t, 1024>>();
  uint64_t burst[64] = {};
  const auto n = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(ring->push({burst, n}));
    benchmark::DoNotOptimize(ring->pop({burst, n}));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(spsc_ring)->Arg(1)->Arg(8)->Arg(32);

// A lane with one reliable reader, in private memory.
struct Lane {
  static constexpr LaneGeometry kGeometry{.ring_log2 = 10, .arena_log2 = 20, .topics = 1};
  static constexpr uint32_t kGeneration = 1;

  std::unique_ptr<std::byte[]> storage{new std::byte[kGeometry.total_bytes() + 4096]()};
  std::unique_ptr<NodePage> page{new NodePage()};
  ReaderSlot slot{};
  LaneWriter writer;
  LaneReader reader;

  Lane() {
    const auto at = (reinterpret_cast<uintptr_t>(storage.get()) + 4095) & ~uintptr_t{4095};
    auto* memory = storage.get() + (at - reinterpret_cast<uintptr_t>(storage.get()));
    LaneWriter::format(memory, kGeometry, 1, 1);
    page->marks[0].state.store(pack_mark(ReaderState::kReliable, kGeneration));
    page->generation.store(1);
    writer = LaneWriter(memory, kGeometry, page.get());
    (void)writer.add_topic("bench");
    LaneReader::Join join;
    join.memory = memory;
    join.geometry = kGeometry;
    join.page = page.get();
    join.generation = kGeneration;
    join.slot = &slot;
    reader = LaneReader(join);
    writer.attach_reader(0, kGeneration, &slot, {});
  }
};

// `burst` messages written in place, then read in place and let go of.
void lane(benchmark::State& state) {
  Lane l;
  const auto burst = static_cast<int>(state.range(0));
  const auto len = static_cast<uint64_t>(state.range(1));
  for (auto _ : state) {
    for (int i = 0; i < burst; i++) {
      std::byte* to = l.writer.loan(len);
      benchmark::DoNotOptimize(to);
      l.writer.commit({});
    }
    Message m;
    for (int i = 0; i < burst; i++) {
      benchmark::DoNotOptimize(l.reader.next(m));
      benchmark::DoNotOptimize(m.data);
    }
    l.reader.release();
  }
  state.SetItemsProcessed(state.iterations() * burst);
}
BENCHMARK(lane)->Args({1, 64})->Args({32, 64})->Args({32, 1024});

}  // namespace
}  // namespace penstock

BENCHMARK_MAIN();
