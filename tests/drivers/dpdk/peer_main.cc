// dpdk_peer PORT: a process of its own that opens a port and sends every test frame back, most of
// it by reference to memory that is not DPDK's. Ends when its standard input does, so that it never
// outlives the test.
#include <cstdio>
#include <deque>
#include <poll.h>
#include <unistd.h>

#include "drivers/dpdk/eal.h"
#include "tests/drivers/dpdk/frames.h"

namespace penstock {
namespace {

bool orphaned() {
  pollfd p{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&p, 1, 0) != 0;
}

// Memory of this process that frames refer to, until each was given back.
class Slots {
 public:
  Region& fill(const Bytes& bytes) {
    Slot& slot = slots_[next_++ % slots_.size()];
    eventually([&] { return slot.region.in_flight.idle() || orphaned(); });
    slot.bytes = bytes;
    slot.region.base = reinterpret_cast<const std::byte*>(slot.bytes.data());
    slot.region.bytes = slot.bytes.size();
    return slot.region;
  }

 private:
  struct Slot {
    Bytes bytes;
    Region region;
  };
  std::deque<Slot> slots_{1024};
  size_t next_ = 0;
};

void send_back(Port& port, const Bytes& bytes, Slots& slots) {
  const size_t header = std::min(bytes.size(), size_t{66});
  Region& region = slots.fill(bytes);
  while (!send(port, bytes, header, &region)) {
    if (orphaned()) return;
  }
}

int echo(const char* text) {
  auto spec = parse_port(text);
  auto plan = place({.workers = 1});
  if (!spec || !plan) return 2;
  auto eal = Eal::start(*plan, {.ports = {&*spec, 1}, .huge = UseHugePages::kNever});
  if (!eal) {
    fprintf(stderr, "%s\n", eal.error().c_str());
    return 3;
  }
  auto device = DpdkDevice::open(*spec);
  if (!device) {
    fprintf(stderr, "%s\n", device.error().c_str());
    return 4;
  }
  Port& port = (*device)->queue(0);
  Slots slots;
  printf("ready\n");
  fflush(stdout);
  for (unsigned turn = 0;; turn++) {
    Frame in[32];
    const size_t n = port.rx_burst(in);
    for (size_t i = 0; i < n; i++) {
      const Bytes bytes = bytes_of(in[i]);
      if (bytes.size() > 14 && bytes[12] == 0x88 && bytes[13] == 0xb5) {
        send_back(port, bytes, slots);
      }
    }
    port.release({in, n});
    if (n != 0) continue;
    if (turn % 64 == 0) {
      if (orphaned()) return 0;
      (*device)->refresh();
    }
    std::this_thread::yield();
  }
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
  return argc == 2 ? penstock::echo(argv[1]) : 1;
}
