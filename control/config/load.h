// From a file to a Config, or to everything that is wrong with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "control/config/config.h"

namespace penstock {

// One thing that is wrong.
struct Diagnostic {
  std::string file;
  uint32_t line = 0;    // 0: nowhere in particular
  std::string key;      // "lane.ring"; empty: the file as a whole
  std::string message;  // what is wrong, what is allowed, what was probably meant
};

// "a.toml:3: lane.rnig: unknown key; did you mean lane.ring? allowed here: ..."
std::string text(const Diagnostic& diagnostic);

// A larger file is refused.
constexpr size_t kMaxConfigBytes = 1 << 20;

using Loaded = tl::expected<Config, std::vector<Diagnostic>>;

// Reads, parses and checks. All diagnostics at once, in the order of the file. Control core only:
// allocates, reads, may throw std::bad_alloc.
Loaded load(const std::filesystem::path& path);

// The same of a text; `file` is for the diagnostics.
Loaded parse(std::string_view toml, const std::string& file);

}  // namespace penstock
