#include "drivers/dpdk/dpdk_log.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <dlfcn.h>
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

void keep(const char* text, size_t length) {
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
    length--;
  Kept& k = kept();
  const std::lock_guard lock(k.mutex);
  if (length > 0) k.lines.emplace_back(text, length);
  if (k.lines.size() > kKeptLines) k.lines.pop_front();
}

ssize_t keep_line(void*, const char* text, size_t bytes) {
  keep(text, bytes);
  return static_cast<ssize_t>(bytes);
}

// The signature of both libraries; level 0 is a warning, what is above is chatter.
using Printer = int (*)(int level, const char* format, va_list arguments);

int keep_warning(int level, const char* format, va_list arguments) {
  if (level > 0) return 0;
  char line[512];
  const int n = vsnprintf(line, sizeof line, format, arguments);
  if (n > 0) keep(line, std::min(static_cast<size_t>(n), sizeof line - 1));
  return n;
}

// DPDK has loaded these itself, or they are not there: nothing is linked for their sake.
void redirect(const char* library, const char* setter) {
  void* const handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return;
  using Setter = Printer (*)(Printer);
  if (auto set = reinterpret_cast<Setter>(dlsym(handle, setter))) set(keep_warning);
  dlclose(handle);
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

void keep_xdp_log() {
  redirect("libbpf.so.1", "libbpf_set_print");
  redirect("libxdp.so.1", "libxdp_set_print");
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
