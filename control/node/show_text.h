// What the node's tables have in common: policies by name, and an answer as text. Control thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/node/numbers.h"
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

inline const char* text(attach::PathPolicy path) {
  switch (path) {
    case attach::PathPolicy::kAny:
      return "any";
    case attach::PathPolicy::kPrefer:
      return "prefer";
    case attach::PathPolicy::kRequireZeroCopy:
      return "require_zero_copy";
  }
  return "";
}

// How messages came, in the row of what they came to.
inline void tell(nlohmann::json& row, const Came& came) {
  row["by_rdma"] = came.put;
  row["by_rdma_bytes"] = came.put_bytes;
  row["by_frames"] = came.framed;
  row["by_frames_bytes"] = came.framed_bytes;
  row["copied"] = came.copied;
  row["copied_bytes"] = came.copied_bytes;
}

// Bytes that are no UTF-8 become what stands for such.
inline std::string write(const nlohmann::json& answer) {
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace penstock
