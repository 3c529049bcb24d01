// The plan that this executable's DPDK was started with. (After the start the process has other
// CPUs, and place() would answer differently.)
#pragma once

#include "drivers/dpdk/placement.h"

namespace penstock {

const Plan& test_plan();

}  // namespace penstock
