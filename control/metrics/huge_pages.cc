#include "control/metrics/huge_pages.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace penstock {
namespace {

uint64_t read(const std::filesystem::path& file) {
  uint64_t n = 0;
  std::ifstream(file) >> n;
  return n;
}

}  // namespace

std::vector<HugePageCount> huge_pages() {
  std::vector<HugePageCount> all;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", ec)) {
    const std::string name = entry.path().filename();
    all.push_back({.size = name.substr(name.find('-') + 1),
                   .all = read(entry.path() / "nr_hugepages"),
                   .free = read(entry.path() / "free_hugepages")});
  }
  std::ranges::sort(all, {}, &HugePageCount::size);
  return all;
}

}  // namespace penstock
