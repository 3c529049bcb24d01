// The node that the commands talk to: the client library with failures instead of codes.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "control/cli/exit.h"
#include "dataplane/client/penstock.hpp"

namespace penstock::cli {

// Attaches; `socket` empty: $PENSTOCK_SOCKET, or the default. Throws Failure: kNoNode when
// there is none, kTimeout when it does not answer, kFailed when it will not have us.
pen::Client attach(const std::string& socket, const char* name);

// Asks, "show lanes", and reads the answer. Throws Failure: kNoNode when the node is gone, kFailed
// when it does not know the question or answers nonsense.
nlohmann::json ask(pen::Client& client, const std::string& question);

// What `code` of a call means for the command: `what` failed.
Failure failure(pen::Code code, const std::string& what);

// The same for a set-up call, after which last_error() has a sentence.
Failure set_up_failure(pen::Code code, const std::string& what);

}  // namespace penstock::cli
