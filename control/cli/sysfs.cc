#include "control/cli/sysfs.h"

#include <algorithm>
#include <fstream>

namespace penstock::cli {

namespace fs = std::filesystem;

std::string line_of(const fs::path& file) {
  std::string line;
  std::ifstream in(file);
  std::getline(in, line);
  return line;
}

int64_t number_in(const fs::path& file, int64_t otherwise) {
  int64_t n = 0;
  std::ifstream in(file);
  return in >> n ? n : otherwise;
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> all;
  std::error_code none;
  for (const fs::directory_entry& e : fs::directory_iterator(folder, none))
    all.push_back(e.path());
  std::ranges::sort(all);
  return all;
}

std::string target_of(const fs::path& link) {
  std::error_code none;
  return fs::read_symlink(link, none).filename();
}

std::vector<uint32_t> list_in(const fs::path& file) {
  constexpr uint32_t kMost = 1 << 16;  // more than any kernel takes
  std::vector<uint32_t> all;
  std::ifstream in(file);
  uint32_t first = 0;
  while (in >> first) {
    uint32_t last = first;
    if (in.peek() == '-') in.ignore() >> last;
    for (uint32_t n = first; n <= last && all.size() < kMost; n++)
      all.push_back(n);
    if (in.peek() == ',') in.ignore();
  }
  return all;
}

}  // namespace penstock::cli
