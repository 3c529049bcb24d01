// CPU numbers as people and DPDK write them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

// "0-3,8", in the order given.
std::string cpu_list(const std::vector<uint32_t>& cpus);

}  // namespace penstock
