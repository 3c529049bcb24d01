// Which RDMA ports a worker uses, and what each may carry before anything was measured: a port on
// the worker's own NUMA node before one that is on another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace penstock {

struct RdmaPortAt {
  std::string device;
  uint8_t port = 1;
  int numa_node = -1;  // -1: the machine does not say
  uint32_t gbps = 0;   // 0: nor the device
};

// 0 near, 1 not known, 2 far.
inline int distance(const RdmaPortAt& p, int node) {
  return p.numa_node < 0 || node < 0 ? 1 : p.numa_node == node ? 0 : 2;
}

// The first `most`, by distance from a worker on `node`; of those as far the faster ones first.
inline std::vector<RdmaPortAt> nearest_first(std::vector<RdmaPortAt> ports, int node, size_t most) {
  std::ranges::stable_sort(ports, {}, [&](const RdmaPortAt& p) {
    return std::pair(distance(p, node), UINT32_MAX - p.gbps);
  });
  ports.resize(std::min(ports.size(), most));
  return ports;
}

// Bytes a second. What is far shares the way between the sockets with everybody.
inline uint64_t may_carry(const RdmaPortAt& p, int node) {
  constexpr uint64_t kUsualGbps = 100;
  const uint64_t bytes_per_s = (p.gbps != 0 ? p.gbps : kUsualGbps) * 125'000'000;
  return distance(p, node) == 2 ? bytes_per_s / 2 : bytes_per_s;
}

}  // namespace penstock
