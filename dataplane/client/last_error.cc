#include "dataplane/client/last_error.h"

#include <cstdarg>
#include <cstdio>

namespace penstock::client {
namespace {

thread_local char sentence[512] = "";

}  // namespace

Errc fail(Errc why, const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::vsnprintf(sentence, sizeof sentence, format, args);
  va_end(args);
  return why;
}

const char* last_error() {
  return sentence;
}

}  // namespace penstock::client
