#include "tests/dataplane/wire/format_examples.h"

#include <charconv>
#include <fstream>
#include <sstream>

namespace penstock {
namespace {

// "a5", or "00*12" for twelve such bytes.
bool append(const std::string& word, std::vector<std::byte>& out) {
  const char* end = word.data() + word.size();
  unsigned value = 0;
  auto at = std::from_chars(word.data(), end, value, 16);
  if (at.ec != std::errc{} || at.ptr - word.data() != 2) return false;
  size_t times = 1;
  if (at.ptr != end) {
    if (*at.ptr != '*') return false;
    at = std::from_chars(at.ptr + 1, end, times);
    if (at.ec != std::errc{} || at.ptr != end) return false;
  }
  out.insert(out.end(), times, static_cast<std::byte>(value));
  return true;
}

}  // namespace

std::map<std::string, std::vector<std::byte>> format_examples() {
  constexpr char kFence[] = "```hex ";
  std::map<std::string, std::vector<std::byte>> out;
  std::vector<std::byte>* block = nullptr;
  std::ifstream file(FORMAT_MD);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kFence)) {
      block = &out[line.substr(sizeof kFence - 1)];
    } else if (line.starts_with("```")) {
      block = nullptr;
    } else if (block != nullptr) {
      std::istringstream words(line.substr(0, line.find('#')));
      for (std::string w; words >> w;) {
        if (!append(w, *block)) return {};
      }
    }
  }
  return out;
}

}  // namespace penstock
