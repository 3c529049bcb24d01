// ApiServer: the API of control.proto on its sockets. gRPC's threads only carry: every call crosses
// to the control thread (requests.h).
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "control/api/requests.h"
#include "control/config/config.h"

namespace penstock {

class ApiServer {
 public:
  // Takes calls from here on. Its threads may use what CPUs the calling thread may. The error is a
  // sentence that names what is in the way and the remedy. `requests` outlives it.
  static tl::expected<std::unique_ptr<ApiServer>, std::string> open(const ApiOptions& options,
                                                                    Requests& requests);
  // Ends all calls, and removes the socket. After requests.close(), or it waits for their
  // deadlines.
  virtual ~ApiServer() = default;
};

}  // namespace penstock
