#include "control/daemon/epoch.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <unistd.h>

#include "dataplane/base/fd.h"

namespace penstock {
namespace {

std::string why() {
  return std::strerror(errno);  // NOLINT(concurrency-mt-unsafe): one thread at start
}

bool put(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  return file &&
         ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
         fsync(file.get()) == 0;
}

}  // namespace

tl::expected<uint64_t, std::string> next_epoch(const std::string& state_dir, uint64_t known) {
  const std::string path = state_dir + "/epoch";
  const auto fail = [&](const std::string& text) {
    return tl::unexpected(fmt::format("{}: {}", path, text));
  };
  std::error_code ec;
  std::filesystem::create_directories(state_dir, ec);
  if (ec) return fail(ec.message() + "; create node.state_dir, writable for the daemon");

  uint64_t epoch = 0;
  if (std::ifstream in(path); in) {
    std::string text;
    std::getline(in, text);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), epoch);
    if (error != std::errc() || end != text.data() + text.size())
      return fail("is no number; write one into it that is larger than any this node ever had");
  } else if (std::filesystem::exists(path)) {
    return fail("cannot be read: " + why());
  }
  // Nobody starts so often: what a store says beyond that is not believed.
  constexpr uint64_t kMost = uint64_t{1} << 48;
  if (epoch >= kMost) return fail("is beyond what a node can reach; write its true epoch into it");
  if (known < kMost) epoch = std::max(epoch, known);
  epoch++;
  // The old file or the new one, never half of one.
  const std::string fresh = path + ".new";
  if (!put(fresh, fmt::format("{}\n", epoch))) return fail("cannot be written: " + why());
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return fail("cannot be replaced: " + why());
  const Fd dir(::open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || fsync(dir.get()) != 0) return fail("directory cannot be synced: " + why());
  return epoch;
}

}  // namespace penstock
