// An endpoint of the emulated fabric whose peer is the input: frames that are sealed as they should
// be, with any fields, among true bytes. Nothing is written but where the peer may put and where
// this side asked for something; completions come in order and once.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "rdma/emulated/emulated_fabric.h"
#include "rdma/emulated/frame.h"
#include "tests/fuzz/input.h"
#include "tests/rdma/emulated/fake_carrier.h"

namespace {

using namespace penstock;
using test::Input;
using test::must;

constexpr uint32_t kPart = 4096;
constexpr std::byte kOurs{0x5a};

// [ ours ][ put ][ ours ][ get only ][ ours ][ where gets go ][ ours ]
struct World {
  World()
      : fabric(carrier, {.send_depth = 8, .receive_depth = 8, .max_registrations = 8, .seed = 1}) {
    std::ranges::fill(memory, kOurs);
    put = add(1, kRemotePut);
    get = add(3, kRemoteGet);
    local = add(5, 0);
    end = std::move(*fabric.create_endpoint());
    address = end->address();
    must(end->connect(address) == Errc::kOk);
  }
  Registration add(uint32_t part, uint32_t rights) {
    return *fabric.register_memory(memory.data() + part * kPart, kPart, rights);
  }
  void poll() {
    std::array<FabricCompletion, 3> c;
    std::array<FabricImmediate, 3> i;
    const Fabric::Polled n = fabric.poll(c, i);
    for (size_t k = 0; k < n.completions; k++) {
      must(c[k].id > last_id && c[k].id <= posted && c[k].endpoint == end->number());
      last_id = c[k].id;
    }
    for (size_t k = 0; k < n.immediates; k++)
      must(i[k].endpoint == end->number());
    carrier.sent.clear();
  }
  void check() const {
    for (const uint32_t part : {0u, 2u, 3u, 4u, 6u})
      must(std::all_of(memory.begin() + part * kPart, memory.begin() + (part + 1) * kPart,
                       [](std::byte b) { return b == kOurs; }));
  }

  test::FakeCarrier carrier;
  EmulatedFabric fabric;
  std::vector<std::byte> memory = std::vector<std::byte>(7 * kPart);
  Registration put;
  Registration get;
  Registration local;
  std::unique_ptr<Endpoint> end;
  EndpointAddress address;
  uint64_t posted = 0;
  uint64_t last_id = 0;
  uint64_t next_packet = 1;
};

uint64_t pick(Input& in, uint64_t likely) {
  return in.byte() < 0xd0 ? likely : in.near(likely);
}
uint32_t pick32(Input& in, uint64_t likely) {
  return static_cast<uint32_t>(pick(in, likely));
}

void frame(World& w, Input& in) {
  EmulatedFrame f;
  std::array<std::byte, 512> out;
  uint32_t number = 0;
  std::memcpy(&number, w.address.data() + 4, sizeof number);
  std::memcpy(&f.nonce, w.address.data() + 8, sizeof f.nonce);
  f.type = static_cast<EmulatedType>(1 + in.byte() % 6);
  f.to = pick32(in, number);
  const bool counted = f.type < EmulatedType::kAck;
  f.packet = counted ? pick(in, w.next_packet) : 0;
  if (f.packet == w.next_packet) w.next_packet++;
  f.ack = pick(in, 1 + in.byte() % 16);
  f.sack = in.byte() < 0x80 ? 0 : in.near(0);
  const Registration& r = in.byte() % 4 == 0 ? w.get : w.put;
  f.key = pick32(in, f.type == EmulatedType::kPut ? r.remote_key : w.get.remote_key);
  f.address = pick(in, in.byte() * 16);
  std::byte* payload = out.data() + emulated_header(f.type);
  const size_t len = in.byte() % 200;
  std::memset(payload, 0x11, len);
  f.payload = {payload, len};
  f.at = pick32(in, in.byte() % 3 * len);
  f.bytes = pick32(in, f.at + len);
  f.request = pick32(in, in.byte() % 8);
  f.has_immediate = f.type == EmulatedType::kPut && in.byte() % 2 == 0;
  f.immediate = f.has_immediate ? in.byte() : 0;
  f.refused = pick(in, in.byte() % 16);
  f.code = static_cast<FabricCode>(pick32(in, 2 + in.byte() % 5));
  const size_t n = write_emulated(f, out.data());
  w.carrier.coming.emplace_back(out.data(), out.data() + n);
}

void post(World& w, Input& in) {
  FabricRequest r;
  r.op = static_cast<FabricOp>(in.byte() % 4);
  r.signalled = in.byte() % 2 == 0;
  r.bytes = in.byte() * 4;
  r.local = w.local.base + in.byte();
  r.local_key = w.local.local_key;
  r.remote_address = in.byte();
  r.remote_key = in.byte();
  r.id = w.posted + 1;
  w.posted += w.end->post({&r, 1});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  World w;
  for (Input in(data, size); in.more();) {
    switch (in.byte() % 8) {
      case 0:
        w.carrier.coming.push_back(in.bytes(in.byte()));
        break;
      case 1:
        post(w, in);
        break;
      case 2:
        w.carrier.time += in.byte() * 100'000;
        w.poll();
        break;
      case 3:
        if (in.byte() % 16 == 0) {
          w.fabric.deregister(w.put);
          w.put = w.add(1, kRemotePut);
        }
        break;
      default:
        frame(w, in);
    }
    if (w.carrier.coming.size() > 8) w.poll();
  }
  w.poll();
  w.check();
  return 0;
}
