// Quantities as people write them: sizes, durations, CPU lists. Pure functions; the error is a
// sentence's end, "has no unit (ns, us, ms, s, min, h)".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace penstock {

template <class T>
using Parsed = tl::expected<T, std::string>;

// "4MiB", "64 kB", "512" (bytes). Units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB.
Parsed<uint64_t> parse_size(std::string_view text);

// "25us", "10s". A unit is needed: ns, us, ms, s, min, h. In nanoseconds.
Parsed<uint64_t> parse_duration(std::string_view text);

// "2-5,8": each CPU once, in the order of the list.
Parsed<std::vector<uint32_t>> parse_cpus(std::string_view text);

// The shortest text that parses to exactly this.
std::string format_size(uint64_t bytes);
std::string format_duration(uint64_t ns);
std::string format_cpus(const std::vector<uint32_t>& cpus);

}  // namespace penstock
