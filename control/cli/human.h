// Numbers for people: three digits that matter and a unit.
#pragma once

#include <cstdint>
#include <string>

namespace penstock::cli {

std::string human_bytes(double bytes);  // "4.00 MiB"
std::string human_count(double count);  // "1.23 M"
std::string human_ns(double ns);        // "12.3 us"; "-" for 0: not measured

}  // namespace penstock::cli
