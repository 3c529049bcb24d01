// What posting costs, over the simulated fabric: one figure a run. One core does all of it, both
// sides and the simulator.
//
//   rdma_rig rate            put-immediates of 64 bytes a second
//   rdma_rig doorbell        requests for one doorbell
//   rdma_rig completion      requests for one completion
//   rdma_rig allocations     allocations of memory after set-up
//   rdma_rig not_ready       immediates that found no receive
//   rdma_rig views           registrations for 10,000 views of one allocation
//   rdma_rig views_ms        and the time of that, in milliseconds
//   rdma_rig cycles          device calls of the last 1000 of 10,000 register and release cycles,
//   for
//                            one of the first 1000
//
// `--ms N`: how long the first five run.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <vector>

#include "drivers/sim/sim_fabric.h"
#include "rdma/imm_counter.h"
#include "rdma/poster.h"
#include "rdma/registration_cache.h"

namespace {
uint64_t allocated = 0;
}

// Not inlined, or the compiler sees a free() of what came from new.
[[gnu::noinline]] void* operator new(size_t bytes) {
  allocated++;
  void* p = std::malloc(bytes);
  if (p == nullptr) std::abort();
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept {
  std::free(p);
}

namespace {

using namespace penstock;
using Clock = std::chrono::steady_clock;

void print(double value, uint64_t wrong) {
  std::printf("{\"value\": %.9g, \"wrong\": %llu, \"place_ns\": null}\n", value,
              static_cast<unsigned long long>(wrong));
}

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// A puts transfers of 256 chunks to B, each with an immediate; B counts them, and its grants come
// back by put.
class Flow {
 public:
  static constexpr uint32_t kChunks = 256;
  static constexpr uint32_t kBytes = 64;
  static constexpr uint32_t kTransfers = 16;  // under way at once

  Flow() : net_(1), a_(net_.add()), b_(net_.add()), counter_(kTransfers, kChunks) {
    forth_ = std::move(*a_.create_endpoint());
    back_ = std::move(*b_.create_endpoint());
    if (forth_->connect(back_->address()) != Errc::kOk ||
        back_->connect(forth_->address()) != Errc::kOk)
      std::abort();
    source_ = *a_.register_memory(from_.data(), from_.size(), kRemotePut);
    target_ = *b_.register_memory(to_.data(), to_.size(), kRemotePut);
    share_ = *shares_.open();
    out_.emplace(*forth_, a_.limits().send_depth, shares_.window());
    grants_.emplace(*back_, b_.limits().send_depth, 0);
    for (uint32_t i = 0; i < kTransfers; i++)
      wrong_ += counter_.expect(i, kChunks) != Errc::kOk;
  }

  void turn() {
    FabricRequest r;
    r.op = FabricOp::kPutImmediate;
    r.bytes = kBytes;
    r.local_key = source_.local_key;
    r.remote_key = target_.remote_key;
    // As far as there is a slot that was told to expect it.
    while (sent_ < (done_ + kTransfers) * kChunks) {
      const uint64_t at = sent_ % (kTransfers * kChunks);
      r.local = source_.base + 64 + at * kBytes;
      r.remote_address = target_.remote_address + at * kBytes;
      r.immediate =
          imm_of(static_cast<uint32_t>(at / kChunks), static_cast<uint32_t>(at % kChunks));
      if (!out_->add(r)) break;
      sent_++;
    }
    out_->flush();
    net_.advance(net_.now() + 1000);
    Fabric::Polled n = a_.poll(completions_, immediates_);
    for (size_t i = 0; i < n.completions; i++)
      out_->completed(completions_[i]);
    uint64_t total;
    std::memcpy(&total, from_.data(), sizeof total);
    wrong_ += !out_->grant(total);
    n = b_.poll(completions_, immediates_);
    for (size_t i = 0; i < n.completions; i++)
      grants_->completed(completions_[i]);
    for (size_t i = 0; i < n.immediates; i++)
      count(immediates_[i].immediate);
    landed_ += n.immediates;
    if (n.immediates != 0) grant(n.immediates);
  }

  uint64_t landed() const { return landed_; }
  uint64_t wrong() const { return wrong_ + out_->failed() + grants_->failed(); }
  const FabricStats& sender() const { return a_.stats(); }
  const FabricStats& receiver() const { return b_.stats(); }

 private:
  void count(uint32_t imm) {
    switch (counter_.count(imm)) {
      case ImmCounter::Outcome::kCounted:
        break;
      case ImmCounter::Outcome::kDone:
        done_++;
        wrong_ += counter_.expect(imm_slot(imm), kChunks) != Errc::kOk;
        break;
      default:
        wrong_++;
    }
  }
  void grant(uint64_t polled) {
    if (const uint64_t total = shares_.consumed(share_, polled)) owed_ = total;
    if (owed_ == 0) return;
    FabricRequest r;
    r.inlined = true;
    r.local = reinterpret_cast<std::byte*>(&owed_);
    r.bytes = sizeof owed_;
    r.remote_address = source_.remote_address;
    r.remote_key = source_.remote_key;
    if (!grants_->add(r)) return;
    grants_->flush();
    owed_ = 0;
  }

  std::vector<std::byte> from_ = std::vector<std::byte>(64 + kTransfers * kChunks * kBytes);
  std::vector<std::byte> to_ = std::vector<std::byte>(kTransfers * kChunks * kBytes);
  std::array<FabricCompletion, 64> completions_;
  std::array<FabricImmediate, 256> immediates_;
  SimFabricNet net_;
  SimFabric& a_;
  SimFabric& b_;
  std::unique_ptr<Endpoint> forth_;
  std::unique_ptr<Endpoint> back_;
  Registration source_;
  Registration target_;
  ReceiveShares shares_{4096, 4};
  uint32_t share_ = 0;
  ImmCounter counter_;
  std::optional<Poster> out_;
  std::optional<Poster> grants_;
  uint64_t sent_ = 0;
  uint64_t done_ = 0;
  uint64_t landed_ = 0;
  uint64_t owed_ = 0;
  uint64_t wrong_ = 0;
};

int run_flow(std::string_view what, double ms) {
  Flow flow;
  for (int i = 0; i < 1000; i++)
    flow.turn();
  const uint64_t before = allocated;
  const uint64_t landed = flow.landed();
  const uint64_t requests = flow.sender().requests.read();
  const uint64_t doorbells = flow.sender().doorbells.read();
  const uint64_t completions = flow.sender().completions.read();
  const Clock::time_point start = Clock::now();
  double took = 0;
  while ((took = ms_since(start)) < ms)
    for (int i = 0; i < 100; i++)
      flow.turn();
  const auto posted = static_cast<double>(flow.sender().requests.read() - requests);
  double value = 0;
  if (what == "rate") value = static_cast<double>(flow.landed() - landed) / took * 1000;
  if (what == "doorbell")
    value = posted / static_cast<double>(flow.sender().doorbells.read() - doorbells);
  if (what == "completion")
    value = posted / static_cast<double>(flow.sender().completions.read() - completions);
  if (what == "allocations") value = static_cast<double>(allocated - before);
  if (what == "not_ready") value = static_cast<double>(flow.receiver().receiver_not_ready.read());
  print(value, flow.wrong());
  return 0;
}

class Source final : public Allocations {
 public:
  Result<Allocation> find(const std::byte*, uint64_t) const override { return now; }
  Allocation now;
};

int run_cache(std::string_view what) {
  SimFabricNet net(1);
  SimFabric& device = net.add();
  Source source;
  RegistrationCache cache(device, source, {.max_allocations = 64});
  std::vector<std::byte> memory(10'000 * 64);
  std::vector<const Registered*> views;
  views.reserve(10'000);
  uint64_t wrong = 0;
  source.now = {memory.data(), memory.size(), 1};
  const Clock::time_point start = Clock::now();
  for (uint64_t i = 0; i < 10'000; i++) {
    const auto r = cache.acquire(memory.data() + i * 64, 64);
    if (r.ok()) views.push_back(*r);
  }
  for (const Registered* r : views)
    cache.release(r);
  const double ms = ms_since(start);
  wrong += views.size() != 10'000;
  if (what == "views_ms") print(ms, wrong);
  if (what == "views") print(static_cast<double>(cache.stats().registrations), wrong);
  if (what != "cycles") return 0;
  const auto calls = [&] {
    const RegistrationCache::Stats& s = cache.stats();
    return static_cast<double>(s.registrations + s.deregistrations + s.steps);
  };
  double first = 0;
  double last = 0;
  for (uint64_t i = 0; i < 10'000; i++) {
    if (i == 1000) last = calls();
    if (i == 2000) first = calls() - last;
    if (i == 9000) last = calls();
    source.now = {memory.data() + i % 100 * 4096, 4096, i + 2};
    const auto r = cache.acquire(source.now.base, 64);
    wrong += !r.ok();
    if (r.ok()) cache.release(*r);
  }
  print((calls() - last) / first, wrong);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  double ms = 400;
  for (int i = 2; i + 1 < argc; i++)
    if (std::string_view(argv[i]) == "--ms") ms = std::strtod(argv[i + 1], nullptr);
  for (const char* known : {"rate", "doorbell", "completion", "allocations", "not_ready"})
    if (what == known) return run_flow(what, ms);
  for (const char* known : {"views", "views_ms", "cycles"})
    if (what == known) return run_cache(what);
  std::fprintf(
      stderr,
      "usage: rdma_rig rate|doorbell|completion|allocations|not_ready|views|views_ms|cycles "
      "[--ms N]\n");
  return 2;
}
