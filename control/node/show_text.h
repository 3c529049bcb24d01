// What the node's tables have in common: policies by name, and an answer as text. Control thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "dataplane/client/attach_protocol.h"

namespace penstock {

inline const char* text(attach::Policy policy) {
  switch (policy) {
    case attach::Policy::kBlock:
      return "block";
    case attach::Policy::kDropOldest:
      return "drop_oldest";
    case attach::Policy::kConflate:
      return "conflate";
    case attach::Policy::kDisconnect:
      return "disconnect";
    case attach::Policy::kDropNewest:
      return "drop_newest";
  }
  return "";
}

// Bytes that are no UTF-8 become what stands for such.
inline std::string write(const nlohmann::json& answer) {
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace penstock
