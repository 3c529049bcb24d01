// Frames that tests send through ports, and patience for those that come.
#pragma once

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/port.h"
#include "drivers/dpdk/device.h"

namespace penstock {

using Bytes = std::vector<uint8_t>;

// Bytes that depend on the seed, in an Ethernet frame of a type that no stack answers (0x88b5).
inline Bytes pattern(size_t length, uint32_t seed) {
  Bytes out(length);
  uint32_t x = seed * 2654435761u + 1;
  for (auto& b : out) {
    x = x * 1664525u + 1013904223u;
    b = static_cast<uint8_t>(x >> 24);
  }
  const uint8_t header[14] = {0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};
  memcpy(out.data(), header, sizeof header);
  return out;
}

// Header and payload as one.
inline Bytes bytes_of(const Frame& f) {
  const auto* data = reinterpret_cast<const uint8_t*>(f.data);
  Bytes out(data, data + f.len);
  const auto* payload = reinterpret_cast<const uint8_t*>(f.payload);
  out.insert(out.end(), payload, payload + f.payload_len);
  return out;
}

// Tries until `done` or until a time has passed that no healthy machine needs.
template <class Condition>
bool eventually(Condition done, int seconds = 30) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

inline bool comes_up(DpdkDevice& device) {
  return eventually([&] {
    device.refresh();
    return device.queue(0).link_up();
  });
}

// Sends one frame: the first `split` bytes in the port's buffer, the rest by reference to `region`,
// whose bytes they must be. False when the port took nothing.
inline bool send(Port& port, const Bytes& bytes, size_t split, Region* region) {
  Frame f{};
  if (port.tx_alloc({&f, 1}) != 1) return false;
  memcpy(f.data, bytes.data(), split);
  f.len = static_cast<uint32_t>(split);
  if (split < bytes.size()) {
    f.payload = region->base + split;
    f.payload_len = static_cast<uint32_t>(bytes.size() - split);
    f.region = region;
  }
  if (port.tx_burst({&f, 1}) == 1) return true;
  port.release({&f, 1});
  return false;
}

inline bool send(Port& port, const Bytes& bytes) {
  return send(port, bytes, bytes.size(), nullptr);
}

// The next frame that comes and is one of ours, or nothing after a long time.
inline Bytes receive(Port& port, int seconds = 30) {
  Bytes out;
  eventually(
      [&] {
        Frame f{};
        if (port.rx_burst({&f, 1}) == 0) return false;
        Bytes bytes = bytes_of(f);
        port.release({&f, 1});
        if (bytes.size() > 14 && bytes[12] == 0x88 && bytes[13] == 0xb5) out = std::move(bytes);
        return !out.empty();
      },
      seconds);
  return out;
}

}  // namespace penstock
