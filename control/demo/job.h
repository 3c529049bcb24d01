// The programs of the job. Each runs in one thread until its part is done, then waits for the end
// of its standard input, so that whoever started it can look at the lanes while everybody is
// attached.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <tl/expected.hpp>

namespace penstock::demo {

struct JobOptions {
  std::string socket;                 // of the node to attach to
  std::filesystem::path digits;       // deploy/data/digits.csv
  std::filesystem::path weights_out;  // where the last weights go, as raw floats; empty: nowhere
  uint32_t ranks = 4;
  uint32_t rank = 0;  // of a trainer
  uint32_t steps = 4000;
};

// Nothing, or what went wrong as one sentence.
using Outcome = tl::expected<void, std::string>;

// Receives weights, pushes the gradients of its shard, until the last weights are there.
Outcome run_trainer(const JobOptions& options);

// Publishes weights, pulls the gradients of every rank, sums them in rank order. Prints a JSON
// object a line: progress twice a second, then {"done":true,...}.
Outcome run_server(const JobOptions& options);

// The whole job in one process, without messages.
Outcome run_reference(const JobOptions& options);

}  // namespace penstock::demo
