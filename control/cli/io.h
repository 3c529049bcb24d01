// Where a command reads and writes: the terminal, or strings in a test.
#pragma once

#include <istream>
#include <ostream>

namespace penstock::cli {

struct Io {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
};

}  // namespace penstock::cli
