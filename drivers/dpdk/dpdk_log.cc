#include "drivers/dpdk/dpdk_log.h"

#include <cstdio>
#include <deque>
#include <mutex>

#include <rte_log.h>

namespace penstock {
namespace {

struct Kept {
  std::mutex mutex;
  std::deque<std::string> lines;
};

// Never destroyed: DPDK's threads may log until the process ends.
Kept& kept() {
  static Kept* const instance = new Kept;
  return *instance;
}

ssize_t keep_line(void*, const char* text, size_t bytes) {
  size_t length = bytes;
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
    length--;
  Kept& k = kept();
  const std::lock_guard lock(k.mutex);
  if (length > 0) k.lines.emplace_back(text, length);
  if (k.lines.size() > kKeptLines) k.lines.pop_front();
  return static_cast<ssize_t>(bytes);
}

}  // namespace

void keep_dpdk_log() {
  static FILE* const stream = [] {
    FILE* s = fopencookie(nullptr, "w", {nullptr, keep_line, nullptr, nullptr});
    if (s != nullptr) setvbuf(s, nullptr, _IOLBF, 1024);
    return s;
  }();
  if (stream != nullptr) rte_openlog_stream(stream);
}

std::vector<std::string> take_dpdk_log() {
  Kept& k = kept();
  const std::lock_guard lock(k.mutex);
  std::vector<std::string> out(k.lines.begin(), k.lines.end());
  k.lines.clear();
  return out;
}

std::string last_dpdk_words() {
  const std::vector<std::string> lines = take_dpdk_log();
  return lines.empty() ? "" : " (DPDK: " + lines.back() + ")";
}

}  // namespace penstock
