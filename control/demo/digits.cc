#include "control/demo/digits.h"

#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <string_view>
#include <utility>

namespace penstock::demo {
namespace {

constexpr int kBrightest = 16;

// The next integer of a row, which it takes off the front, or -1.
int take_number(std::string_view& row) {
  int value = -1;
  const auto [end, error] = std::from_chars(row.data(), row.data() + row.size(), value);
  if (error != std::errc{}) return -1;
  row.remove_prefix(static_cast<size_t>(end - row.data()));
  if (!row.empty() && row.front() == ',') row.remove_prefix(1);
  return value;
}

bool parse_row(std::string_view row, Digit& digit) {
  for (float& pixel : digit.pixels) {
    const int value = take_number(row);
    if (value < 0 || value > kBrightest) return false;
    pixel = static_cast<float>(value) / kBrightest;
  }
  const int label = take_number(row);
  digit.label = static_cast<uint32_t>(label);
  return row.empty() && label >= 0 && label < static_cast<int>(kClasses);
}

// Fisher-Yates by hand: std::shuffle may differ from one standard library to the next.
void shuffle(std::vector<Digit>& digits) {
  std::mt19937 random(20);  // NOLINT(cert-msc51-cpp): the same order every time is the point
  for (size_t i = digits.size() - 1; i > 0; i--)
    std::swap(digits[i], digits[random() % (i + 1)]);
}

}  // namespace

tl::expected<Digits, std::string> load_digits(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) return tl::make_unexpected(fmt::format("{}: cannot be read", file.string()));
  std::vector<Digit> all;
  for (std::string row; std::getline(in, row);) {
    Digit digit;
    if (!parse_row(row, digit)) {
      return tl::make_unexpected(fmt::format(
          "{}:{}: not 64 pixels of 0 to 16 and a label of 0 to 9", file.string(), all.size() + 1));
    }
    all.push_back(digit);
  }
  if (all.size() < 10)
    return tl::make_unexpected(fmt::format("{}: fewer than 10 rows", file.string()));
  shuffle(all);
  const auto cut = all.begin() + static_cast<ptrdiff_t>(all.size() * 4 / 5);
  return Digits{{all.begin(), cut}, {cut, all.end()}};
}

}  // namespace penstock::demo
