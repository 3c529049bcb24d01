#include "control/config/units.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <span>

namespace penstock {

namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// Largest first, so that the first that divides a value is the shortest text.
constexpr Unit kSizes[] = {{"TiB", 1ull << 40}, {"GiB", 1ull << 30},      {"MiB", 1ull << 20},
                           {"KiB", 1ull << 10}, {"TB", 1000000000000ull}, {"GB", 1000000000ull},
                           {"MB", 1000000ull},  {"kB", 1000ull},          {"B", 1ull}};
constexpr Unit kDurations[] = {{"h", 3600000000000ull}, {"min", 60000000000ull},
                               {"s", 1000000000ull},    {"ms", 1000000ull},
                               {"us", 1000ull},         {"ns", 1ull}};
constexpr std::string_view kSizeUnits = "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
constexpr std::string_view kDurationUnits = "ns, us, ms, s, min, h";

// A whole number times a unit.
Parsed<uint64_t> parse_scaled(std::string_view text, std::span<const Unit> units,
                              std::string_view unit_names, bool unit_needed) {
  uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return tl::unexpected(std::string("is too large"));
  if (error != std::errc()) {
    return tl::unexpected(fmt::format("is not a whole number with a unit ({})", unit_names));
  }
  std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  if (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  if (unit.empty()) {
    if (unit_needed) return tl::unexpected(fmt::format("has no unit ({})", unit_names));
    return value;
  }
  const auto found = std::ranges::find(units, unit, &Unit::name);
  if (found == units.end()) {
    return tl::unexpected(fmt::format("has an unknown unit ({})", unit_names));
  }
  if (value > UINT64_MAX / found->factor) return tl::unexpected(std::string("is too large"));
  return value * found->factor;
}

std::string format_scaled(uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value >= unit.factor && value % unit.factor == 0) {
      return fmt::format("{}{}", value / unit.factor, unit.name);
    }
  }
  return fmt::format("0{}", units.back().name);
}

Parsed<uint32_t> parse_cpu(std::string_view text) {
  uint32_t cpu = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (error != std::errc() || end != text.data() + text.size() || cpu > 8191) {
    return tl::unexpected(std::string("is not a CPU list"));
  }
  return cpu;
}

}  // namespace

Parsed<uint64_t> parse_size(std::string_view text) {
  return parse_scaled(text, kSizes, kSizeUnits, false);
}

Parsed<uint64_t> parse_duration(std::string_view text) {
  return parse_scaled(text, kDurations, kDurationUnits, true);
}

Parsed<std::vector<uint32_t>> parse_cpus(std::string_view text) {
  std::vector<uint32_t> cpus;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view range = text.substr(0, comma);
    const size_t dash = range.find('-');
    const auto first = parse_cpu(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_cpu(range.substr(dash + 1));
    if (!first || !last) return tl::unexpected(std::string("is not a CPU list"));
    if (*first > *last) return tl::unexpected(std::string("has a range that runs backwards"));
    for (uint32_t cpu = *first; cpu <= *last; cpu++) {
      if (std::ranges::find(cpus, cpu) != cpus.end()) {
        return tl::unexpected(fmt::format("names CPU {} twice", cpu));
      }
      cpus.push_back(cpu);
    }
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return tl::unexpected(std::string("ends in a comma"));
  }
  return cpus;
}

std::string format_size(uint64_t bytes) {
  return format_scaled(bytes, kSizes);
}
std::string format_duration(uint64_t ns) {
  return format_scaled(ns, kDurations);
}

std::string format_cpus(const std::vector<uint32_t>& cpus) {
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1)
      end++;
    if (!text.empty()) text += ',';
    text += fmt::format("{}", cpus[i]);
    if (end - i > 1) text += fmt::format("-{}", cpus[end - 1]);
    i = end;
  }
  return text;
}

}  // namespace penstock
