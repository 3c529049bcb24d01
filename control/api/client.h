// ApiClient: calls of control.proto by name, with JSON for their messages, so that who uses it sees
// no gRPC.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "control/api/api.h"

namespace penstock {

struct ApiTarget {
  std::string
      address;  // path of a Unix socket; "HOST:PORT" for mutual TLS with all of these, PEM files:
  std::string ca;  // who vouches for the node
  std::string certificate;
  std::string key;

  bool tcp() const { return address.find('/') == std::string::npos; }
};

// One thread.
class ApiClient {
 public:
  virtual ~ApiClient() = default;
  // Makes one call and waits for its answer, at most `limit`. The error's text names the address
  // and what to do about it.
  virtual ApiAnswer call(const std::string& name, const std::string& request,
                         std::chrono::milliseconds limit) = 0;
};

// Does not connect yet: the first call does. The error is that of a file that cannot be read.
tl::expected<std::unique_ptr<ApiClient>, ApiError> open_api(const ApiTarget& target);

}  // namespace penstock
