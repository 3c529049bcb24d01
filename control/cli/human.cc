#include "control/cli/human.h"

#include <fmt/format.h>
#include <span>
#include <string_view>

namespace penstock::cli {

namespace {

std::string three_digits(double value) {
  return fmt::format("{:.{}f}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

std::string scaled(double value, double step, std::span<const std::string_view> units) {
  size_t unit = 0;
  while (value >= 0.9995 * step && unit + 1 < units.size()) {
    value /= step;
    unit++;
  }
  if (unit == 0 && value == static_cast<double>(static_cast<uint64_t>(value))) {
    return fmt::format("{:.0f}{}", value, units[0]);
  }
  return three_digits(value) + std::string(units[unit]);
}

}  // namespace

std::string human_bytes(double bytes) {
  static constexpr std::string_view kUnits[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
  return scaled(bytes, 1024, kUnits);
}

std::string human_count(double count) {
  static constexpr std::string_view kUnits[] = {"", " k", " M", " G", " T"};
  return scaled(count, 1000, kUnits);
}

std::string human_ns(double ns) {
  static constexpr std::string_view kUnits[] = {" ns", " us", " ms", " s"};
  return ns == 0 ? "-" : scaled(ns, 1000, kUnits);
}

}  // namespace penstock::cli
