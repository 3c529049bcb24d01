#include "control/cli/table.h"

#include <algorithm>
#include <cassert>

namespace penstock::cli {

namespace {

// Columns that a text takes: bytes that begin a UTF-8 character.
size_t columns(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

void append(std::string& line, const std::string& cell, size_t width, bool right) {
  const std::string space(width - columns(cell), ' ');
  line += right ? space + cell : cell + space;
}

}  // namespace

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
  for (std::string& heading : headings_) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) heading.erase(0, 1);
  }
}

void Table::add(std::vector<std::string> cells) {
  assert(cells.size() == headings_.size());
  for (std::string& cell : cells) {
    std::ranges::replace_if(
        cell, [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, '?');
  }
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  for (size_t column = 0; column < headings_.size(); column++) {
    size_t widest = 0;
    for (const auto& row : rows_)
      widest = std::max(widest, columns(row[column]));
    widths.push_back(widest == 0 ? 0 : std::max(widest, columns(headings_[column])));
  }
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t column = 0; column < cells.size(); column++) {
      if (widths[column] == 0) continue;
      if (!line.empty()) line += "  ";
      append(line, cells[column], widths[column], right_[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line(headings_);
  for (const auto& row : rows_)
    add_line(row);
  return out;
}

}  // namespace penstock::cli
