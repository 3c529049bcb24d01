// Whether the kernel can hand out huge pages, found out before DPDK starts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace penstock {

inline constexpr uint64_t kHugePage = uint64_t{2} << 20;

// Nothing when `bytes` of 2 MiB pages can be had now; else why not, as the end of a sentence.
std::optional<std::string> huge_pages_missing(uint64_t bytes);

}  // namespace penstock
