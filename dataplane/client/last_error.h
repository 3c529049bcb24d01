// What went wrong, in words, for penstock_last_error(): one sentence per thread.
#pragma once

#include "dataplane/base/errc.h"

namespace penstock::client {

// Keeps the sentence and returns `why`.
[[gnu::format(printf, 2, 3)]] Errc fail(Errc why, const char* format, ...);

// Of the last fail() on this thread; empty when there was none.
const char* last_error();

}  // namespace penstock::client
