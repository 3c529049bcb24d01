// What a frame costs: its checksum, its batch of small messages, its header.
#include <array>
#include <benchmark/benchmark.h>
#include <vector>

#include "dataplane/wire/batch.h"
#include "dataplane/wire/crc32c.h"
#include "dataplane/wire/hop_header.h"

namespace {

using penstock::BatchReader;
using penstock::BatchWriter;
using penstock::Record;

constexpr size_t kFrame = 8972;  // UDP payload at an MTU of 9000

void crc(benchmark::State& state) {
  const std::vector<std::byte> frame(static_cast<size_t>(state.range(0)));
  const auto bytes = std::span(frame);
  for (auto _ : state) {
    benchmark::DoNotOptimize(penstock::frame_crc(bytes.first(104), bytes.subspan(104)));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(crc)->Arg(128)->Arg(1472)->Arg(kFrame);

Record message(const std::vector<std::byte>& bytes) {
  Record r;
  r.bytes = bytes.data();
  r.len = static_cast<uint32_t>(bytes.size());
  r.time = 1;
  return r;
}

// Fills `frame` and returns the size of the body.
size_t fill(std::span<std::byte> body, Record r, int64_t& messages) {
  BatchWriter w({1, 1, 0, 0, 0}, body);
  for (r.source = 0; w.append(r); r.source++)
    messages++;
  return w.size();
}

void batch_write(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<size_t>(state.range(0)));
  std::vector<std::byte> frame(kFrame);
  int64_t messages = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        fill(std::span(frame).subspan(penstock::kHopHeaderSize), message(bytes), messages));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(messages);
}
BENCHMARK(batch_write)->Arg(16)->Arg(64)->Arg(100)->Arg(1024);

void batch_read(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<size_t>(state.range(0)));
  std::vector<std::byte> frame(kFrame);
  int64_t messages = 0;
  const size_t size = fill(frame, message(bytes), messages);
  const auto body = std::span(frame).first(size);
  messages = 0;
  for (auto _ : state) {
    BatchReader in(body);
    Record r;
    while (in.next(r)) {
      benchmark::DoNotOptimize(r);
      messages++;
    }
  }
  state.SetItemsProcessed(messages);
}
BENCHMARK(batch_read)->Arg(16)->Arg(64)->Arg(100)->Arg(1024);

void hop_header(benchmark::State& state) {
  std::array<std::byte, penstock::kHopHeaderSize> bytes{};
  penstock::HopHeader h;
  for (auto _ : state) {
    h.packet++;
    penstock::write_hop(h, bytes);
    benchmark::DoNotOptimize(penstock::parse_hop(bytes));
  }
}
BENCHMARK(hop_header);

}  // namespace

BENCHMARK_MAIN();
