// What a turn of the worker's loop costs: with nothing to do, with idle lanes, and with one that
// has news.
#include <benchmark/benchmark.h>
#include <memory>
#include <vector>

#include "dataplane/worker.h"
#include "tests/dataplane/worker/tested_task.h"

namespace {

using penstock::Worker;
using penstock::test::Bells;
using penstock::test::TaskedLane;

// Long after a task had work, so that it is idle.
constexpr uint64_t kLater = 1'000'000'000;

// A worker with so many lanes, each with a bell, all of them idle.
struct Loaded {
  explicit Loaded(int64_t lanes) : worker({}) {
    worker.tasks().add_bells(bells.page.get());
    for (int64_t i = 0; i < lanes; i++) {
      all.push_back(std::make_unique<TaskedLane>(bells, 0, static_cast<uint32_t>(i)));
      worker.tasks().add(&all.back()->task);
    }
    for (int i = 0; i < 16; i++)
      worker.turn(now += kLater);
  }

  Worker worker;
  Bells bells;
  std::vector<std::unique_ptr<TaskedLane>> all;
  uint64_t now = 1;
};

// Argument: idle lanes. They should cost next to nothing, however many.
void idle_turn(benchmark::State& state) {
  Loaded l(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(l.worker.turn(l.now += 1000));
}
BENCHMARK(idle_turn)->Arg(0)->Arg(1)->Arg(64)->Arg(512);

// Argument: idle lanes beside the one that has a message in each turn.
void busy_turn(benchmark::State& state) {
  Loaded l(state.range(0) + 1);
  for (auto _ : state) {
    l.all.front()->publish();
    if (l.worker.turn(l.now += 1000) != 1) return state.SkipWithError("nothing heard");
  }
}
BENCHMARK(busy_turn)->Arg(0)->Arg(63)->Arg(511);

}  // namespace

BENCHMARK_MAIN();
