// Huge pages of this machine, as the kernel tells.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

struct HugePageCount {
  std::string size;  // "2048kB"
  uint64_t all = 0;
  uint64_t free = 0;
};

// By size; none: the kernel has no huge pages.
std::vector<HugePageCount> huge_pages();

}  // namespace penstock
