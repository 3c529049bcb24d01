// Digits: the handwritten digits that the demonstration learns, split into rows to learn from and
// rows to be examined on. Every program of the job loads the same file and makes the same split.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace penstock::demo {

inline constexpr size_t kPixels = 64;
inline constexpr size_t kClasses = 10;

struct Digit {
  std::array<float, kPixels> pixels;  // 0 to 1
  uint32_t label;
};

struct Digits {
  std::vector<Digit> train;  // four fifths
  std::vector<Digit> test;
};

// Reads rows of 64 pixels of 0 to 16 and a label, shuffles them with a fixed seed (neighbouring
// rows are of the same writer) and splits them. The error says which file and line, and what is
// wrong.
tl::expected<Digits, std::string> load_digits(const std::filesystem::path& file);

}  // namespace penstock::demo
