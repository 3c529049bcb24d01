// What it costs to put a frame's headers on and to take them off, and the Internet checksum alone.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <vector>

#include "dataplane/net/checksum.h"
#include "dataplane/net/decap.h"
#include "dataplane/net/encap.h"

namespace {

using penstock::Encap;

const penstock::Station kUs{
    {{2, 0, 0, 0, 0, 1}}, *penstock::parse_ip("10.0.0.1"), *penstock::parse_ip("fd00::1")};

Encap path(bool offload) {
  return Encap({{}, {}, kUs.v4, kUs.v4, 50000, 4791}, {offload, offload});
}

void checksum(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<size_t>(state.range(0)));
  for (auto _ : state)
    benchmark::DoNotOptimize(penstock::ones_sum(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(128)->Arg(1472)->Arg(8972);

// Arguments: bytes of the link frame; 1 = the NIC does the checksums.
void encap(benchmark::State& state) {
  Encap e = path(state.range(1) != 0);
  const std::vector<std::byte> payload(static_cast<size_t>(state.range(0)));
  std::vector<std::byte> front(e.size() + 104);
  for (auto _ : state) {
    e.write(front, payload);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(encap)->ArgsProduct({{128, 1472, 8868}, {0, 1}});

void decap(benchmark::State& state) {
  Encap e = path(false);
  const std::vector<std::byte> payload(static_cast<size_t>(state.range(0)));
  std::vector<std::byte> front(e.size() + 104);
  e.write(front, payload);
  for (auto _ : state) {
    benchmark::DoNotOptimize(penstock::decap(front, payload, kUs, 4791, state.range(1) != 0));
  }
}
BENCHMARK(decap)->ArgsProduct({{128, 1472, 8868}, {0, 1}});

}  // namespace

BENCHMARK_MAIN();
