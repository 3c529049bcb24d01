// What a put over shared memory costs beside the copy that it is: one figure a run. Both devices
// stand in this process and on this core; the copy goes into a mapping of the other one's file.
//
//   shm_rig put N       bytes a second, by puts of N bytes, each with an immediate
//   shm_rig memcpy N    the same bytes by memcpy, between the same places
//   shm_rig rate N      such puts a second
//
// `--ms N`: how long it runs.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "drivers/shm/shm_fabric.h"
#include "rdma/poster.h"

namespace {

using namespace penstock;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kArena = uint64_t{64} << 20;

struct Side {
  Side() {
    auto file = SealedMemory::create("penstock-bench", kArena);
    if (!file.ok()) std::abort();
    auto map = file->map(Access::kReadWrite);
    auto opened = ShmFabric::open();
    if (!map.ok() || !opened.ok()) std::abort();
    memory = std::move(*map);
    fabric = std::move(*opened);
    std::memset(memory.data(), 1, kArena);
    if (fabric->add_memory(file->fd(), memory.data(), kArena, Access::kReadWrite) != Errc::kOk)
      std::abort();
    registration = *fabric->register_memory(memory.data(), kArena, kRemotePut);
    end = std::move(*fabric->create_endpoint());
  }
  Mapping memory;
  std::unique_ptr<ShmFabric> fabric;
  Registration registration;
  std::unique_ptr<Endpoint> end;
};

void print(double value, uint64_t wrong) {
  std::printf("{\"value\": %.9g, \"wrong\": %llu, \"place_ns\": null}\n", value,
              static_cast<unsigned long long>(wrong));
}

int run(std::string_view what, uint32_t bytes, double ms) {
  Side a;
  Side b;
  if (a.end->connect(b.end->address()) != Errc::kOk ||
      b.end->connect(a.end->address()) != Errc::kOk)
    return 1;
  for (int i = 0; i < 4; i++) {
    (void)a.fabric->events({});
    (void)b.fabric->events({});
  }
  Poster out(*a.end, a.fabric->limits().send_depth, b.fabric->limits().receive_depth);
  uint64_t at = 0;
  uint64_t landed = 0;
  uint64_t wrong = 0;
  std::array<FabricCompletion, 64> c;
  std::array<FabricImmediate, 256> im;
  const auto next = [&] {
    const uint64_t here = at;
    at = at + 2 * uint64_t{bytes} > kArena ? 0 : at + bytes;
    return here;
  };
  const auto puts = [&] {
    for (int i = 0; i < 16; i++) {
      FabricRequest r;
      r.op = FabricOp::kPutImmediate;
      r.bytes = bytes;
      const uint64_t here = next();
      r.local = a.memory.data() + here;
      r.local_key = a.registration.local_key;
      r.remote_address = here;
      r.remote_key = b.registration.remote_key;
      if (!out.add(r)) break;
    }
    out.flush();
    const Fabric::Polled n = a.fabric->poll(c, {});
    for (size_t i = 0; i < n.completions; i++)
      out.completed(c[i]);
    landed += b.fabric->poll({}, im).immediates;
    wrong += !out.grant(landed + b.fabric->limits().receive_depth) || out.failed();
  };
  const auto copies = [&] {
    const uint64_t here = next();
    std::memcpy(b.memory.data() + here, a.memory.data() + here, bytes);
    landed++;
  };
  const bool plain = what == "memcpy";
  for (uint64_t i = 0; i < 2 * kArena / bytes && i < 1000; i++)
    plain ? copies() : puts();
  const uint64_t before = landed;
  const Clock::time_point start = Clock::now();
  double took = 0;
  while ((took = std::chrono::duration<double>(Clock::now() - start).count()) * 1000 < ms)
    for (int i = 0; i < 16; i++)
      plain ? copies() : puts();
  const double rate = static_cast<double>(landed - before) / took;
  print(what == "rate" ? rate : rate * bytes, wrong);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const auto bytes = argc > 2 ? static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10)) : 0;
  double ms = 400;
  for (int i = 3; i + 1 < argc; i++)
    if (std::string_view(argv[i]) == "--ms") ms = std::strtod(argv[i + 1], nullptr);
  if ((what == "put" || what == "memcpy" || what == "rate") && bytes != 0 && bytes <= kArena / 2)
    return run(what, bytes, ms);
  std::fprintf(stderr, "usage: shm_rig put|memcpy|rate BYTES [--ms N]\n");
  return 2;
}
