// `penstock sub` and `penstock pull`: messages to the output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"
#include "dataplane/client/penstock.hpp"

namespace penstock::cli {

struct ReceiveOptions {
  std::string socket;
  std::string filter;
  bool pull = false;                   // as one of a group, else everything
  pen::SubscriberOptions subscriber;   // its overflow policy
  bool raw = false;                    // the bytes alone, else each message is a line
  bool json = false;                   // a line of JSON for each message and gap
  uint64_t count = 0;                  // messages after which it ends; 0: never
  std::optional<uint64_t> timeout_ns;  // without a message after which it ends; absent: for ever
};

// Ends with kOk after `count` messages or ^C, with kTimeout, with kMissed when there was a gap, or
// with kNoNode when the node goes away.
Exit receive(const Io& io, const ReceiveOptions& options);

// A message or gap as a line of JSON. Bytes that are UTF-8 stand in "data", others in "hex".
std::string json_line(const pen::Message& message);

}  // namespace penstock::cli
