// Where measurements keep their sockets and files. bench/run gives each run a folder of its own
// ($TMPDIR) and removes it, whatever became of the run.
#pragma once

#include <filesystem>
#include <string>

namespace penstock::bench {

inline std::string temporary(const std::string& name) {
  return std::filesystem::temp_directory_path() / ("penstock-bench-" + name);
}

}  // namespace penstock::bench
