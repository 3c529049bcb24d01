#include "control/demo/report.h"

#include <cstdio>
#include <fstream>

namespace penstock::demo {

void print_line(const std::string& json) {
  std::puts(json.c_str());
  std::fflush(stdout);
}

Outcome write_weights(const Layers& weights, const std::filesystem::path& file) {
  if (file.empty()) return {};
  std::ofstream out(file, std::ios::binary);
  for (const auto& layer : weights)
    out.write(reinterpret_cast<const char*>(layer.data()),
              static_cast<std::streamsize>(layer.size() * sizeof(float)));
  if (!out.flush()) return tl::make_unexpected(fmt::format("{}: cannot be written", file.string()));
  return {};
}

void wait_for_end_of_input() {
  while (std::getchar() != EOF) {
  }
}

}  // namespace penstock::demo
