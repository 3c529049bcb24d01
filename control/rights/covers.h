// Whether one filter lies within another.
#pragma once

#include <string_view>

namespace penstock {

// Whether `outer` takes every topic that `inner` takes; both are valid filters without a tenant. Of
// a pair that would take too long to compare (many '#' in both, in long filters) the answer is no.
bool covers(std::string_view outer, std::string_view inner);

}  // namespace penstock
