// Small files of the kernel, as in /sys and /proc. What cannot be read is empty, or the number that
// the caller gives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace penstock::cli {

// The first line.
std::string line_of(const std::filesystem::path& file);

// The decimal number that it begins with.
int64_t number_in(const std::filesystem::path& file, int64_t otherwise = 0);

// What is in a folder, in the order of the names.
std::vector<std::filesystem::path> entries(const std::filesystem::path& folder);

// The last part of where a link leads: the driver of a device.
std::string target_of(const std::filesystem::path& link);

// "0-3,8": CPUs or nodes. What is no such list ends it.
std::vector<uint32_t> list_in(const std::filesystem::path& file);

}  // namespace penstock::cli
