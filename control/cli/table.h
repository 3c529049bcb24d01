// A table of text with columns that line up.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::cli {

class Table {
 public:
  // A heading that begins with '>' makes a column that is aligned right: numbers.
  explicit Table(std::vector<std::string> headings);

  // As many cells as there are headings. What could disturb a terminal is replaced by '?'.
  void add(std::vector<std::string> cells);

  bool empty() const { return rows_.empty(); }

  // Headings and rows, a line each. A column in which every cell is empty is left out.
  std::string text() const;

 private:
  std::vector<std::string> headings_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace penstock::cli
