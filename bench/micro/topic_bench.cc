// What a new topic costs: one filter, and a trie of many.
#include <benchmark/benchmark.h>
#include <string>

#include "dataplane/topic/filter.h"
#include "dataplane/topic/trie.h"

namespace {

void match(benchmark::State& state, const char* filter) {
  const std::string topic = "job7.rank3.grad.layer12.w";
  for (auto _ : state)
    benchmark::DoNotOptimize(penstock::matches(filter, topic));
}
BENCHMARK_CAPTURE(match, exact, "job7.rank3.grad.layer12.w");
BENCHMARK_CAPTURE(match, stars, "*.*.grad.*.w");
BENCHMARK_CAPTURE(match, hashes, "#.grad.#.w.#");

// Argument: filters in the trie, of which three take the topic.
void trie(benchmark::State& state) {
  penstock::Trie<int> t;
  for (int i = 0; i < state.range(0); i++) {
    const std::string job = "job" + std::to_string(i);
    t.insert(job + ".*.grad.#", i);
    t.insert(job + ".rank3.#.w", i);
  }
  t.insert("#.w", -1);
  const std::string topic = "job7.rank3.grad.layer12.w";
  for (auto _ : state) {
    t.collect(topic, [](int v) { benchmark::DoNotOptimize(v); });
  }
}
BENCHMARK(trie)->Arg(10)->Arg(1000)->Arg(100000);

}  // namespace

BENCHMARK_MAIN();
