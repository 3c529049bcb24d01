// `penstock pub` and `penstock push`: lines, or a whole file, to a topic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

struct SendOptions {
  std::string socket;
  std::string topic;
  bool push = false;                   // to one puller, else to every subscriber
  bool whole = false;                  // all of the input is one message, else each line is
  std::string file;                    // instead of the input; whole
  uint64_t key = 0;                    // 0: none
  uint64_t count = 0;                  // lines to send; 0: all
  std::optional<uint64_t> timeout_ns;  // to wait for room or a puller; absent: for ever
  bool json = false;                   // at the end, {"sent":n,"bytes":n}
};

Exit send(const Io& io, const SendOptions& options);

}  // namespace penstock::cli
