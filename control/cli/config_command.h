// `penstock config check FILE | show FILE | example | markdown`.
#pragma once

#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

// "FILE: ok", or every diagnostic on a line; with `json` a list of {file, line, key, message}.
Exit config_check(const Io& io, const std::string& file, bool json);

// The whole config as the daemon would see it, defaults filled in.
Exit config_show(const Io& io, const std::string& file);

Exit config_example(const Io& io);
Exit config_markdown(const Io& io);

}  // namespace penstock::cli
