// What our driver of verbs makes of a device, as ib_write_bw and ib_write_lat of perftest have it:
// between the first two RDMA devices of this machine, one figure a run. In a virtual machine:
// bench/in_vm.py.
//
//   verbs_rig bandwidth N      bytes a second of N puts of 1 MiB, 32 under way at once
//   verbs_rig latency N        microseconds of one way of N round trips of 64 bytes, the median;
//                              each side spins on the last byte of its memory, and nothing else
//                              says that a put has come
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "drivers/verbs/verbs_fabric.h"
#include "rdma/poster.h"

namespace {

using namespace penstock;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kDepth = 32;   // perftest: --tx-depth
constexpr uint8_t kTimeout = 18;  // --qp-timeout: an emulated processor may stand still
constexpr uint32_t kBulk = 1 << 20;
constexpr uint32_t kSmall = 64;
constexpr uint32_t kPage = 4096;
constexpr uint64_t kWarm = 100;  // round trips before the first that counts

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "verbs_rig: %s\n", why.c_str());
  std::exit(1);
}

// A device, memory that peers may put to, an endpoint and what posts on it.
class Side {
 public:
  // Memory in whole pages, as that of lanes.
  Side(const std::string& device, uint32_t bytes)
      : half_(std::max(bytes, kPage)),
        memory_(static_cast<std::byte*>(std::aligned_alloc(kPage, size_t{2} * half_))) {
    std::memset(memory_, 0, size_t{2} * half_);
    auto opened = VerbsFabric::open(
        {.device = device, .max_endpoints = 1, .send_depth = kDepth, .timeout = kTimeout});
    if (!opened) fail(opened.error());
    fabric_ = std::move(*opened);
    auto r = fabric_->register_memory(memory_, size_t{2} * half_, kRemotePut);
    auto e = fabric_->create_endpoint();
    if (!r.ok() || !e.ok()) fail(device + " registers no memory, or has no queue pair");
    registration_ = *r;
    endpoint_ = std::move(*e);
    poster_ = std::make_unique<Poster>(*endpoint_, fabric_->limits().send_depth, 0);
  }
  ~Side() {
    endpoint_.reset();
    fabric_->deregister(registration_);
    std::free(memory_);
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  // From the first half of this memory to the second of the peer's.
  FabricRequest put(const Side& to, uint32_t bytes) const {
    FabricRequest r;
    r.local = registration_.base;
    r.bytes = bytes;
    r.local_key = registration_.local_key;
    r.remote_address = remote_region(to.registration_).address + half_;
    r.remote_key = remote_region(to.registration_).key;
    r.inlined = bytes <= fabric_->limits().max_inline;
    return r;
  }
  void poll() {
    std::array<FabricCompletion, 16> done;
    std::array<FabricImmediate, 1> none;
    const Fabric::Polled n = fabric_->poll(done, none);
    for (size_t i = 0; i < n.completions; i++)
      poster_->completed(done[i]);
    if (poster_->failed()) fail(std::string("a put failed: ") + text(poster_->why()));
  }
  // Until all that was added has completed.
  void settle() {
    while (poster_->done() < poster_->added()) {
      (void)poster_->settle();
      poll();
    }
  }

  Endpoint& endpoint() { return *endpoint_; }
  Poster& poster() { return *poster_; }
  std::byte* out() { return memory_; }
  std::byte* in() { return memory_ + half_; }

 private:
  uint32_t half_;
  std::byte* memory_;
  std::unique_ptr<VerbsFabric> fabric_;
  Registration registration_;
  std::unique_ptr<Endpoint> endpoint_;
  std::unique_ptr<Poster> poster_;
};

struct Pair {
  explicit Pair(uint32_t bytes) : names(verbs_devices()), a(names[0], bytes), b(names[1], bytes) {
    if (a.endpoint().connect(b.endpoint().address()) != Errc::kOk ||
        b.endpoint().connect(a.endpoint().address()) != Errc::kOk)
      fail("the two devices do not connect");
  }
  std::vector<std::string> names;
  Side a;
  Side b;
};

void print(double value, const std::string& more, bool right) {
  std::printf("{\"value\": %.9g, %s\"wrong\": %d, \"place_ns\": null}\n", value, more.c_str(),
              right ? 0 : 1);
}

void bandwidth(uint64_t count) {
  Pair pair(kBulk);
  for (uint32_t i = 0; i < kBulk; i++)
    pair.a.out()[i] = static_cast<std::byte>(i * 0x9e3779b1u >> 21);
  const FabricRequest r = pair.a.put(pair.b, kBulk);
  const Clock::time_point start = Clock::now();
  for (uint64_t n = 0; n < count;) {
    while (n < count && pair.a.poster().add(r))
      n++;
    pair.a.poster().flush();
    pair.a.poll();
  }
  pair.a.settle();
  const double s = std::chrono::duration<double>(Clock::now() - start).count();
  // A completion says nothing of the peer's memory, but a put that the peer has acknowledged has
  // gone there: soft-RoCE copies before it acknowledges.
  print(static_cast<double>(count) * kBulk / s, "",
        std::memcmp(pair.a.out(), pair.b.in(), kBulk) == 0);
}

// The last byte tells the number of the round trip.
void send(Side& from, const Side& to, uint64_t number) {
  std::memset(from.out(), static_cast<int>(number & 0xff), kSmall);
  while (!from.poster().add(from.put(to, kSmall)))
    from.poll();
  from.poster().flush();
}
void await(Side& at, uint64_t number) {
  std::atomic_ref<std::byte> last(at.in()[kSmall - 1]);
  while (last.load(std::memory_order_acquire) != static_cast<std::byte>(number & 0xff)) {
  }
}

void latency(uint64_t count) {
  Pair pair(kSmall);
  const uint64_t all = count + kWarm;
  std::thread answers([&] {
    for (uint64_t n = 1; n <= all; n++) {
      await(pair.b, n);
      send(pair.b, pair.a, n);
    }
  });
  std::vector<double> us;
  us.reserve(all);
  Clock::time_point before = Clock::now();
  for (uint64_t n = 1; n <= all; n++) {
    send(pair.a, pair.b, n);
    await(pair.a, n);
    const Clock::time_point now = Clock::now();
    us.push_back(std::chrono::duration<double, std::micro>(now - before).count() / 2);
    before = now;
  }
  answers.join();
  pair.a.settle();
  pair.b.settle();
  const bool same = std::memcmp(pair.a.out(), pair.a.in(), kSmall) == 0 &&
                    std::memcmp(pair.a.out(), pair.b.in(), kSmall) == 0;
  us.erase(us.begin(), us.begin() + kWarm);
  std::sort(us.begin(), us.end());
  print(us[us.size() / 2], "\"p99\": " + std::to_string(us[us.size() * 99 / 100]) + ", ", same);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 2 ? argv[1] : "";
  const uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (count == 0 || (what != "bandwidth" && what != "latency")) {
    std::fprintf(stderr, "usage: verbs_rig bandwidth|latency N\n");
    return 2;
  }
  if (verbs_devices().size() < 2) fail("needs two RDMA devices: see bench/in_vm.py");
  what == "bandwidth" ? bandwidth(count) : latency(count);
  return 0;
}
