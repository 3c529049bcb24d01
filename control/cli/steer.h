// What steers a node over its API: nodes, members, topics, subscriptions, lanes, links, clients,
// reload, config diff. Each asks one call of control.proto and prints its answer: a table, or with
// --json the message.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "control/api/client.h"
#include "control/cli/exit.h"
#include "control/cli/io.h"

namespace penstock::cli {

// How the API is reached: open_api, or a fake in a test.
using OpenApi = std::function<tl::expected<std::unique_ptr<ApiClient>, ApiError>(const ApiTarget&)>;

struct SteerOptions {
  ApiTarget api;
  uint64_t timeout_ns = 5'000'000'000;  // of one call
  bool json = false;
  bool watch = false;  // again each second, until q or ^C
};

// A node's API with failures instead of faults.
class Api {
 public:
  Api(const OpenApi& open, const SteerOptions& options);
  // Throws Failure.
  nlohmann::json ask(const std::string& call,
                     const nlohmann::json& request = nlohmann::json::object());

 private:
  std::unique_ptr<ApiClient> client_;
  uint64_t timeout_ns_;
};

// A call that only looks.
Exit look(const Io& io, const OpenApi& open, const SteerOptions& options, const std::string& call,
          const nlohmann::json& request);
Exit reload(const Io& io, const OpenApi& open, const SteerOptions& options);
// `file` empty: the one that the node was started with.
Exit config_diff(const Io& io, const OpenApi& open, const SteerOptions& options,
                 const std::string& file);
// The config that the node runs with.
Exit config_running(const Io& io, const OpenApi& open, const SteerOptions& options);

}  // namespace penstock::cli
