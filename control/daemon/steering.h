// Steering: what the API asks for (control/api/control.proto), answered from what the daemon has.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "control/api/requests.h"
#include "control/config/diff.h"
#include "control/daemon/members.h"
#include "control/events/events.h"
#include "control/node/node.h"

namespace penstock {

// The control thread's. All that it is given outlives it.
class Steering {
 public:
  struct Parts {
    Node& node;
    Members* members;  // null: there is no store
    const Config& config;
    std::string file;  // of the config
    uint64_t epoch;
    const Events& events;
    std::function<Comparison()> reload;
    std::function<void(uint64_t ns)> drain;  // for so long, then the process ends
  };
  explicit Steering(Parts parts) : parts_(std::move(parts)) {}

  // `request` is the JSON of the call's message, and so is the answer.
  Requests::Reply answer(const std::string& call, const std::string& request);

 private:
  ApiAnswer look(const std::string& call, const nlohmann::json& asked) const;
  nlohmann::json events(uint64_t from, size_t limit) const;
  nlohmann::json health() const;
  Requests::Reply remove_member(uint64_t id) const;
  Requests::Reply drain(const nlohmann::json& asked) const;
  Requests::Reply diff(const nlohmann::json& asked) const;
  nlohmann::json nodes() const;
  nlohmann::json members() const;

  const Parts parts_;
};

}  // namespace penstock
