// What both sides of the API share: an answer is the JSON of a message of control.proto, or a
// fault.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>

namespace penstock {

enum class ApiFault : uint8_t {
  kInvalid,  // a field of the request makes no sense
  kRefused,  // not as things are
  kTimeout,  // no answer in time
  kBusy,     // too many calls wait already
  kGone,     // there is no node, or it is stopping
  kUnknown,  // the node does not know this call
};

struct ApiError {
  ApiFault fault;
  std::string text;  // a sentence
};

using ApiAnswer = tl::expected<std::string, ApiError>;

inline tl::unexpected<ApiError> api_error(ApiFault fault, std::string text) {
  return tl::unexpected(ApiError{fault, std::move(text)});
}

}  // namespace penstock
